// SPDX-License-Identifier: GPL-2.0
/* Signals as they are generated and as they are delivered. */
/* decode.py has the names, in this order. */
enum origin {
	ORIGIN_USER,
	ORIGIN_KERNEL,
	ORIGIN_TIMER,
	ORIGIN_FAULT,
	ORIGIN_CHILD,
	ORIGIN_TERMINAL,
	ORIGIN_IO,
	ORIGIN_LIMIT,
	ORIGIN_SECCOMP,
	ORIGIN_OTHER,
};

enum disposition {
	DISPOSITION_DEFAULT,
	DISPOSITION_IGNORED,
	DISPOSITION_HANDLED,
};

/* include/trace/events/signal.h: TRACE_SIGNAL_* */
#define RESULT_DELIVERED	0
#define RESULT_IGNORED		1
#define RESULT_LOSE_INFO	4

/* include/uapi/asm-generic/siginfo.h */
#define SI_USER		0
#define SI_KERNEL	0x80
#define SI_TIMER	(-2)
#define SI_ASYNCIO	(-4)
#define SI_SIGIO	(-5)
#define POLL_HUP	6

/* include/linux/sched/signal.h: in the place of a siginfo */
#define SEND_SIG_NOINFO	0
#define SEND_SIG_PRIV	1

/* The numbers that x86 and arm64 share. */
#define SIGILL		4
#define SIGTRAP		5
#define SIGBUS		7
#define SIGFPE		8
#define SIGSEGV		11
#define SIGPIPE		13
#define SIGALRM		14
#define SIGXCPU		24
#define SIGXFSZ		25
#define SIGVTALRM	26
#define SIGPROF		27
#define SIGIO		29
#define SIGSYS		31

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
 * whoever happened to run. What the kernel raises for a write of the current task
 * carries no siginfo and would read as sent by a user.
 */
static __always_inline u8 signal_origin(u32 signal, u64 info, int code)
{
	switch (code) {
	case SI_TIMER:
		return ORIGIN_TIMER;
	case SI_ASYNCIO:
	case SI_SIGIO:
		return ORIGIN_IO;
	}
	if (info == SEND_SIG_NOINFO && signal == SIGPIPE)
		return ORIGIN_IO;
	if (info == SEND_SIG_NOINFO && signal == SIGXFSZ)
		return ORIGIN_LIMIT;
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
	case SIGHUP:
	case SIGINT:
	case SIGQUIT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGCONT:
	case SIGWINCH:
		return ORIGIN_TERMINAL;
	case SIGIO:
	case SIGURG:
	case SIGPIPE:
		return ORIGIN_IO;
	case SIGXCPU:
	case SIGXFSZ:
		return ORIGIN_LIMIT;
	case SIGSYS:
		return ORIGIN_SECCOMP;
	}
	if (signal >= SIGRTMIN && code <= POLL_HUP)
		return ORIGIN_IO;	/* F_SETSIG of fcntl(2) */
	return code == SI_KERNEL ? ORIGIN_KERNEL : ORIGIN_OTHER;
}

static __always_inline int signal_code(u64 info)
{
	int code = SI_USER;

	if (info == SEND_SIG_PRIV)
		return SI_KERNEL;
	if (info != SEND_SIG_NOINFO)
		READ_MEMBER(code, info, OFF_SIGINFO_CODE);
	return code;
}

static __always_inline bool is_handled(void *task, u32 signal)
{
	void *sighand = NULL;
	u64 handler = 0;

	READ_MEMBER(sighand, task, OFF_TASK_SIGHAND);
	READ_MEMBER(handler, sighand,
		    OFF_SIGHAND_ACTION + (signal - 1) * SIZE_OF_K_SIGACTION);
	return handler > 1;	/* SIG_IGN */
}

/*
 * On the raw tracepoint: timers raise signals in interrupts, in which the program of
 * a classic one is skipped when the interrupted task is in another program.
 * The arguments: int sig, struct kernel_siginfo *info, struct task_struct *task, int
 * group, int result.
 */
int signal_generate(struct raw_tracepoint *ctx)
{
	void *task = (void *)ctx->args[2];
	struct signals_generated_key key = {};
	u64 info = ctx->args[1], zero = 0;
	bool is_shared = ctx->args[3];
	u32 signal = ctx->args[0], tid = 0;
	struct membership target;
	struct comm comm = {};
	int code = signal_code(info);

	see(SEEN_SIGNAL_GENERATED);
	READ_MEMBER(tid, task, OFF_TASK_PID);
	READ_MEMBER(comm, task, OFF_TASK_COMM);
	key.signal = signal;
	key.origin = signal_origin(signal, info, code);
	key.result = ctx->args[4];
	if (key.origin == ORIGIN_USER)
		key.sender = group_of_current();
	else
		key.sender = GROUP_KERNEL;
	target = membership_of(tid, &comm);
	key.target = target.group;
	add(signals_generated.lookup_or_try_init(&key, &zero), 1,
	    DROP_SIGNALS_GENERATED_FULL);
	if (!target.tgid)
		return 0;
	if (key.result == RESULT_IGNORED && signal == SIGTERM)
		remember_ignored_term(target.tgid);
	if (key.result == RESULT_DELIVERED)
		remember_generated(is_shared ? target.tgid : tid, signal, is_shared);
	else if (key.result != RESULT_LOSE_INFO)
		return 0;
	/* A signal with a handler ends nobody, but some ask to. */
	if (!is_harmless(signal) && (asks_to_end(signal) || !is_handled(task, signal)))
		remember_blame(target.tgid, signal, key.origin);
	return 0;
}

int signal_deliver(struct tracepoint__signal__signal_deliver *args)
{
	struct signals_delivered_key key = {};
	u64 zero = 0;

	see(SEEN_SIGNAL_DELIVERED);
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
	match_delivered(key.signal);
	return 0;
}
