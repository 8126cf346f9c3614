"""Where pickles that were made before there was a package smarm.supervision find this."""

from smarm.supervision.dynamic import DynamicSupervisor as DynamicSupervisor
