// context_x86_64.S: the switch between two flows, System V ABI for x86-64.
//
// The frame of a suspended flow (context_frame.h). Context::stack_pointer points to its lowest byte:
//
//    +0        +4      +6       +8    +16   +24   +32   +40   +48   +56
//    | MXCSR   | x87CW | unused | r12 | r13 | r14 | r15 | rbx | rbp | return address |
//
// Above it the red zone of the function that switched. All other registers are its compiler's to save: see switch_unannounced().
// The x87 register stack and the MMX state are empty; the signal mask is not saved.

#include "context_frame.h"

        .text

// Is jumped to, with the address to continue at in rax; arguments as for a call:
// smarm_switch(Context* from, Context* to, __cxa_eh_globals* globals)
//              rdi            rsi          rdx
        .globl  smarm_switch
        .hidden smarm_switch
        .type   smarm_switch, @function
        .p2align 6
smarm_switch:
        .cfi_startproc
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rax
        leaq    -SMARM_FRAME_REACH(%rsp), %rsp
        .cfi_adjust_cfa_offset SMARM_FRAME_REACH
        movq    %rax, SMARM_FRAME_RETURN(%rsp)
        .cfi_rel_offset rip, SMARM_FRAME_RETURN
        stmxcsr SMARM_FRAME_MXCSR(%rsp)
        fnstcw  SMARM_FRAME_X87(%rsp)
        movq    %r12, SMARM_FRAME_R12(%rsp)
        .cfi_rel_offset r12, SMARM_FRAME_R12
        movq    %r13, SMARM_FRAME_R13(%rsp)
        .cfi_rel_offset r13, SMARM_FRAME_R13
        movq    %r14, SMARM_FRAME_R14(%rsp)
        .cfi_rel_offset r14, SMARM_FRAME_R14
        movq    %r15, SMARM_FRAME_R15(%rsp)
        .cfi_rel_offset r15, SMARM_FRAME_R15
        movq    %rbx, SMARM_FRAME_RBX(%rsp)
        .cfi_rel_offset rbx, SMARM_FRAME_RBX
        movq    %rbp, SMARM_FRAME_RBP(%rsp)
        .cfi_rel_offset rbp, SMARM_FRAME_RBP

        // The exceptions that `from` is handling leave with it, those of `to` come back.
        movq    SMARM_GLOBALS_CAUGHT(%rdx), %r8
        movl    SMARM_GLOBALS_UNCAUGHT(%rdx), %r9d
        movq    SMARM_CONTEXT_CAUGHT(%rsi), %r10
        movl    SMARM_CONTEXT_UNCAUGHT(%rsi), %r11d
        movq    %r8, SMARM_CONTEXT_CAUGHT(%rdi)
        movl    %r9d, SMARM_CONTEXT_UNCAUGHT(%rdi)
        movq    %r10, SMARM_GLOBALS_CAUGHT(%rdx)
        movl    %r11d, SMARM_GLOBALS_UNCAUGHT(%rdx)

        // SAFETY: from here on we run on the stack of `to`. Its frame was laid out by this same function or by
        // prepare(), so the same CFI holds.
        movq    %rsp, SMARM_CONTEXT_STACK_POINTER(%rdi)
        movq    SMARM_CONTEXT_STACK_POINTER(%rsi), %rsp

        movq    SMARM_FRAME_R12(%rsp), %r12
        movq    SMARM_FRAME_R13(%rsp), %r13
        movq    SMARM_FRAME_R14(%rsp), %r14
        movq    SMARM_FRAME_R15(%rsp), %r15
        movq    SMARM_FRAME_RBX(%rsp), %rbx
        movq    SMARM_FRAME_RBP(%rsp), %rbp
        ldmxcsr SMARM_FRAME_MXCSR(%rsp)
        fldcw   SMARM_FRAME_X87(%rsp)

        // No call and no `ret`: the CPU's return predictor stays in step with the callers of the switch, which are the same
        // code in most flows, and the jump is predicted from where it went before. See docs/explanation/adr/0011.
        movq    SMARM_FRAME_RETURN(%rsp), %rax
        .cfi_register rip, rax
        .cfi_same_value r12
        .cfi_same_value r13
        .cfi_same_value r14
        .cfi_same_value r15
        .cfi_same_value rbx
        .cfi_same_value rbp
        leaq    SMARM_FRAME_REACH(%rsp), %rsp
        .cfi_adjust_cfa_offset -SMARM_FRAME_REACH
        notrack jmp *%rax
        .cfi_endproc
        .size   smarm_switch, . - smarm_switch

// Where the first switch to a prepared flow continues. prepare() left entry in r12 and its argument in r13.
        .globl  smarm_start
        .hidden smarm_start
        .type   smarm_start, @function
        .p2align 4
        .cfi_startproc
        .cfi_undefined rip              // the outermost frame: backtraces end here
        nop                             // an unwinder that comes from the switch looks up the byte before smarm_start
smarm_start:
        endbr64
        movq    %r12, %rdi
        movq    %r13, %rsi
        call    smarm_run_entry         // never returns
        ud2
        .cfi_endproc
        .size   smarm_start, . - smarm_start

// abi::__cxa_get_globals, as a function that the compiler knows nothing of: see switch_unannounced().
        .globl  smarm_exception_globals
        .hidden smarm_exception_globals
        .type   smarm_exception_globals, @function
        .p2align 4
smarm_exception_globals:
        .cfi_startproc
        endbr64
        jmp     __cxa_get_globals@PLT
        .cfi_endproc
        .size   smarm_exception_globals, . - smarm_exception_globals

        .section .note.GNU-stack, "", @progbits
