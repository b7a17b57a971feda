"""What the lessons use: programs to run, measurements, pictures, and checks of exercises."""

from __future__ import annotations

from cellcrate.lessons.cleaning import clean_up
from cellcrate.lessons.comparison import Comparison, compare, reveal
from cellcrate.lessons.computer import Computer, computer
from cellcrate.lessons.errors import LessonError
from cellcrate.lessons.exercises import check, solved
from cellcrate.lessons.measurement import Measurement, measure
from cellcrate.lessons.programs import PROGRAMS, Process, free_port, process, stop_processes

__all__ = [
    "PROGRAMS",
    "Comparison",
    "Computer",
    "LessonError",
    "Measurement",
    "Process",
    "check",
    "clean_up",
    "compare",
    "computer",
    "free_port",
    "measure",
    "process",
    "reveal",
    "solved",
    "stop_processes",
]
