// SPDX-License-Identifier: GPL-2.0
/* Signals as they are generated and as they are delivered. */
/* decode.py has the names, in this order. */
enum origin {
	ORIGIN_USER,
	ORIGIN_KERNEL,
	ORIGIN_TIMER,
	ORIGIN_FAULT,
	ORIGIN_CHILD,
	ORIGIN_OTHER,
};

enum disposition {
	DISPOSITION_DEFAULT,
	DISPOSITION_IGNORED,
	DISPOSITION_HANDLED,
};

/* include/trace/events/signal.h: TRACE_SIGNAL_* */
#define RESULT_DELIVERED	0
#define RESULT_LOSE_INFO	4

/* include/uapi/asm-generic/siginfo.h */
#define SI_KERNEL	0x80
#define SI_TIMER	(-2)

/* The numbers that x86 and arm64 share. */
#define SIGILL		4
#define SIGTRAP		5
#define SIGBUS		7
#define SIGFPE		8
#define SIGSEGV		11
#define SIGALRM		14
#define SIGVTALRM	26
#define SIGPROF		27

struct signals_generated_key {
	u32 signal;
	u8 origin;
	u8 result;	/* TRACE_SIGNAL_* */
	u16 pad;
	u32 sender;
	u32 target;
};

struct signals_delivered_key {
	u32 signal;
	u32 disposition;
	u32 target;
};

BPF_TABLE("percpu_hash", struct signals_generated_key, u64, signals_generated,
	  SIZE_SIGNALS_GENERATED);
BPF_TABLE("percpu_hash", struct signals_delivered_key, u64, signals_delivered,
	  SIZE_SIGNALS_DELIVERED);

/*
 * Who raised it. Only si_code tells: when a timer expires, the current task is
 * whoever happened to run.
 */
static __always_inline u8 signal_origin(u32 signal, int code)
{
	if (code == SI_TIMER)
		return ORIGIN_TIMER;
	if (code <= 0)
		return ORIGIN_USER;
	switch (signal) {
	case SIGALRM:
	case SIGVTALRM:
	case SIGPROF:
		return ORIGIN_TIMER;	/* setitimer(2) */
	case SIGILL:
	case SIGTRAP:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
		return ORIGIN_FAULT;
	case SIGCHLD:
		return ORIGIN_CHILD;
	}
	return code == SI_KERNEL ? ORIGIN_KERNEL : ORIGIN_OTHER;
}

int signal_generate(struct tracepoint__signal__signal_generate *args)
{
	/* Read once: the verifier refuses an access at an offset that was computed. */
	volatile u32 signal = args->sig, result = args->result;
	volatile s32 code = args->code;
	struct signals_generated_key key = {};
	struct membership target;
	struct comm comm = {};
	u64 zero = 0;

	bpf_probe_read_kernel(&comm, sizeof(comm), args->comm);
	key.signal = signal;
	key.origin = signal_origin(signal, code);
	key.result = result;
	if (key.origin == ORIGIN_USER)
		key.sender = group_of_current();
	else
		key.sender = GROUP_KERNEL;
	target = membership_of(args->pid, &comm);
	key.target = target.group;
	if (target.tgid &&
	    (key.result == RESULT_DELIVERED || key.result == RESULT_LOSE_INFO))
		remember_blame(target.tgid, signal, code);
	add(signals_generated.lookup_or_try_init(&key, &zero), 1,
	    DROP_SIGNALS_GENERATED_FULL);
	return 0;
}

int signal_deliver(struct tracepoint__signal__signal_deliver *args)
{
	struct signals_delivered_key key = {};
	u64 zero = 0;

	key.signal = args->sig;
	key.target = group_of_current();
	if (args->sa_handler == 0)
		key.disposition = DISPOSITION_DEFAULT;
	else if (args->sa_handler == 1)
		key.disposition = DISPOSITION_IGNORED;
	else
		key.disposition = DISPOSITION_HANDLED;
	add(signals_delivered.lookup_or_try_init(&key, &zero), 1,
	    DROP_SIGNALS_DELIVERED_FULL);
	return 0;
}
