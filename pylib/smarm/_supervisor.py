"""Where pickles that were made before there was a package smarm.supervision find these."""

from smarm.supervision.references import SupervisorRef as SupervisorRef
from smarm.supervision.static import Supervisor as Supervisor
