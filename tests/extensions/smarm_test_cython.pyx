# cython: language_level=3
"""Stands for an extension module that is written in Cython: a type, a generator, C callbacks with and without the GIL."""

from libc.stdlib cimport qsort

cdef object compare = None
cdef dict kept = {}

cdef int call_compare(const void* left, const void* right) noexcept with gil:
    return compare((<const int*>left)[0], (<const int*>right)[0])

cdef class Vector:
    cdef public double x, y

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, Vector other):
        return Vector(self.x + other.x, self.y + other.y)

    def __repr__(self):
        return f"Vector({self.x}, {self.y})"

    def __reduce__(self):
        return Vector, (self.x, self.y)

def sort(values, function):
    """Sort at most 100 numbers by C's qsort, which calls the function."""
    global compare
    cdef int[100] numbers
    cdef int count = len(values), i
    for i in range(count):
        numbers[i] = values[i]
    before, compare = compare, function
    with nogil:
        qsort(numbers, count, sizeof(int), call_compare)
    compare = before
    return [numbers[i] for i in range(count)]

def doubled(values):
    for value in values:
        yield 2 * value

def keep(key, value):
    """Keep it in a variable of the module; return how many there are."""
    kept[key] = value
    return len(kept)
