"""Where pickles that were made before there was a package smarm.supervision find these."""

from smarm.supervision.references import ChildCount as ChildCount
from smarm.supervision.references import ChildInfo as ChildInfo
from smarm.supervision.specs import Child as Child
