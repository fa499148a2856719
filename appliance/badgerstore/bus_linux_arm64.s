#include "textflag.h"

// The kernel calls it with R0 = signal, R1 = siginfo, R2 = context, and restores every
// register from the context when it returns (through R30).
TEXT ·busHandler(SB), NOSPLIT|NOFRAME, $0-0
	MOVD R0, R9
	MOVD R1, R10
	MOVD R2, R11
	MOVW 8(R1), R12
	CMPW $2, R12            // si_code: BUS_ADRERR, there is no such page
	BNE  pass
	MOVD ·busMask(SB), R12
	MOVD 16(R1), R0         // si_addr
	MOVD ·busFrom(SB), R13
	CMP  R13, R0
	BLO  theirs
	MOVD ·busTo(SB), R13
	CMP  R13, R0
	BLO  pass               // a page of the program itself

theirs:
	AND  R12, R0
	NEG  R12, R1            // the length of a page
	MOVD $3, R2             // PROT_READ|PROT_WRITE
	MOVD $0x32, R3          // MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
	MOVD $-1, R4
	MOVD $0, R5
	MOVD $222, R8           // mmap
	SVC
	CMN  $4095, R0
	BCS  pass               // an error: let Go report it
	MOVD $·busFaults(SB), R12
again:
	LDAXR (R12), R13
	ADD   $1, R13
	STLXR R13, (R12), R14
	CBNZ  R14, again
	RET

pass:
	MOVD R9, R0
	MOVD R10, R1
	MOVD R11, R2
	MOVD ·busNext(SB), R12
	JMP  (R12)

TEXT ·busHandlerPC(SB), NOSPLIT, $0-8
	MOVD $·busHandler(SB), R0
	MOVD R0, ret+0(FP)
	RET
