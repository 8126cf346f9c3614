"""A shared object that has nothing of its own, and needs others by their paths.

Copies of libraries that need each other (freetype and harfbuzz, in the wheels of pillow) cannot be opened one after the
other: each one needs a name that the loader does not know yet, and looks for it in directories where it is not.  Opened
by such an object they are all mapped first, and then find each other by their names.
"""

from __future__ import annotations

import os
import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_ENTRY = struct.Struct("<qQ")
_SYMBOL_BYTES = 24
_IDENTIFICATION = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian, version 1
_ET_DYN, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK = 1, 2, 0x6474E551
_READ, _WRITE = 4, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT = 0, 1, 5, 6, 10, 11
_PAGE = 4096


def needing(paths: list[str]) -> bytes:
    """Return the bytes of a shared object for x86-64 that needs the shared objects at these paths, in this order."""
    names = [os.fsencode(path) for path in paths]
    strings = b"\0" + b"".join(name + b"\0" for name in names)
    dynamic_at = _HEADER.size + 3 * _SEGMENT.size
    symbols_at = dynamic_at + (len(names) + 5) * _ENTRY.size
    strings_at = symbols_at + _SYMBOL_BYTES  # the first symbol, which stands for none
    size = strings_at + len(strings)

    entries, name_at = [], 1
    for name in names:
        entries.append((_DT_NEEDED, name_at))
        name_at += len(name) + 1
    entries += [(_DT_STRTAB, strings_at), (_DT_SYMTAB, symbols_at), (_DT_STRSZ, len(strings))]
    entries += [(_DT_SYMENT, _SYMBOL_BYTES), (_DT_NULL, 0)]
    dynamic = b"".join(_ENTRY.pack(*entry) for entry in entries)

    def segment(kind: int, at: int, count: int, alignment: int) -> bytes:
        # Addresses are offsets. Writable: older loaders note addresses in the dynamic section.
        return _SEGMENT.pack(kind, _READ | _WRITE, at, at, at, count, count, alignment)

    header = _HEADER.pack(
        *(_IDENTIFICATION, _ET_DYN, _EM_X86_64, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 3, 64, 0, 0)
    )
    segments = segment(_PT_LOAD, 0, size, _PAGE) + segment(_PT_DYNAMIC, dynamic_at, len(dynamic), 8)
    # Without this one the loader would make all stacks executable.
    segments += segment(_PT_GNU_STACK, 0, 0, 16)
    return header + segments + dynamic + bytes(_SYMBOL_BYTES) + strings
