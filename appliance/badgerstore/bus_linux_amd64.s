#include "textflag.h"

// The kernel calls it with DI = signal, SI = siginfo, DX = context, and restores every
// register from the context when it returns.
TEXT ·busHandler(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ DI, R12
	MOVQ SI, R13
	MOVQ DX, BX
	CMPL 8(SI), $2          // si_code: BUS_ADRERR, there is no such page
	JNE  pass
	MOVQ ·busMask(SB), CX
	MOVQ 16(SI), DI         // si_addr
	CMPQ DI, ·busFrom(SB)
	JCS  theirs
	CMPQ DI, ·busTo(SB)
	JCS  pass               // a page of the program itself

theirs:
	ANDQ CX, DI
	MOVQ CX, SI
	NEGQ SI                 // the length of a page
	MOVQ $3, DX             // PROT_READ|PROT_WRITE
	MOVQ $0x32, R10         // MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
	MOVQ $-1, R8
	XORL R9, R9
	MOVQ $9, AX             // mmap
	SYSCALL
	CMPQ AX, $-4095
	JCC  pass               // an error: let Go report it
	MOVQ $1, AX
	LOCK
	XADDQ AX, ·busFaults(SB)
	RET

pass:
	MOVQ R12, DI
	MOVQ R13, SI
	MOVQ BX, DX
	MOVQ ·busNext(SB), AX
	JMP  AX

TEXT ·busHandlerPC(SB), NOSPLIT, $0-8
	LEAQ ·busHandler(SB), AX
	MOVQ AX, ret+0(FP)
	RET
