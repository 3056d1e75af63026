"""Windows of predictions and labels to performance, value, drift, alerts and health; measures and never acts."""

from custody.monitoring.reference import Tolerance
from custody.monitoring.standalone.comparison import compare
from custody.monitoring.standalone.profile import summarise
from custody.monitoring.standalone.watching import Detector

__all__ = ["Detector", "Tolerance", "compare", "summarise"]
