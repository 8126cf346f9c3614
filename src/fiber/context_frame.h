// context_frame.h: byte offsets that context_x86_64.S and context.cpp agree on. Only #defines: the assembler reads it.
#pragma once

// The frame of a suspended flow, from its stack pointer upwards. One cache line.
#define SMARM_FRAME_MXCSR 0
#define SMARM_FRAME_X87 4
#define SMARM_FRAME_R12 8
#define SMARM_FRAME_R13 16
#define SMARM_FRAME_R14 24
#define SMARM_FRAME_R15 32
#define SMARM_FRAME_RBX 40
#define SMARM_FRAME_RBP 48
#define SMARM_FRAME_RETURN 56
#define SMARM_FRAME_BYTES 64
// From there to the stack pointer of the function that switched: its red zone, which the ABI lets it use, lies between.
#define SMARM_FRAME_REACH 192

// struct Context (include/smarm/fiber/context.h).
#define SMARM_CONTEXT_STACK_POINTER 0
#define SMARM_CONTEXT_CAUGHT 8
#define SMARM_CONTEXT_UNCAUGHT 16

// What __cxa_get_globals() points to (Itanium C++ ABI, 2.2.2).
#define SMARM_GLOBALS_CAUGHT 0
#define SMARM_GLOBALS_UNCAUGHT 8
