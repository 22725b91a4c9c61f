// SPDX-License-Identifier: GPL-2.0
/* Signals as they are generated and as they are delivered. */
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

/* include/linux/ptrace.h: PTRACE_O_EXITKILL */
#define PT_EXITKILL		(1 << 23)

/*
 * Whether the current task sent it by a call. rt_sigqueueinfo(2) takes the codes of
 * timers and of I/O from anybody; it keeps the siginfo on the stack of its caller, where
 * neither timers nor URBs have it. SI_SIGIO does not tell: F_SETSIG of fcntl(2) has its
 * siginfo on the stack of whoever writes.
 */
static __always_inline bool is_sent_by_call(u64 info)
{
	void *task = (void *)bpf_get_current_task();
	u64 stack = 0;
	u32 flags = 0;

	READ_MEMBER(flags, task, OFF_TASK_FLAGS);
	READ_MEMBER(stack, task, OFF_TASK_STACK);
	return !(flags & PF_KTHREAD) && info - stack < THREAD_BYTES;
}

/* Whether the current task, which ends, was the tracer of the target. */
static __always_inline bool is_tracer_of(void *target)
{
	void *parent = NULL;
	u32 ptrace = 0, tgid = 0;

	READ_MEMBER(ptrace, target, OFF_TASK_PTRACE);
	if (!(ptrace & PT_EXITKILL))
		return false;
	READ_MEMBER(parent, target, OFF_TASK_PARENT);
	READ_MEMBER(tgid, parent, OFF_TASK_TGID);
	return tgid == current_tgid();
}

/* Whether the current process is the first of a PID namespace, but not of the host. */
static __always_inline bool is_init_of_namespace(void)
{
	void *pid = NULL;
	u32 level = 0, number = 0;

	READ_MEMBER(pid, current_leader(), OFF_TASK_THREAD_PID);
	READ_MEMBER(level, pid, OFF_PID_LEVEL);
	READ_MEMBER(number, pid, OFF_PID_NUMBERS + level * SIZE_OF_UPID + OFF_UPID_NR);
	return level && number == 1;
}

/* What the end of the current task sends to others, by the kernel's hand. */
static __always_inline u8 origin_at_exit(u32 signal, u64 info, void *target)
{
	u32 flags = 0;

	READ_MEMBER(flags, bpf_get_current_task(), OFF_TASK_FLAGS);
	if (!(flags & PF_EXITING))
		return ORIGIN_KERNEL;
	if (info == SEND_SIG_NOINFO)
		return ORIGIN_PARENT_DEATH;	/* PR_SET_PDEATHSIG of prctl(2) */
	if (signal != SIGKILL)
		return ORIGIN_KERNEL;
	if (is_tracer_of(target))
		return ORIGIN_TRACER_EXIT;
	return is_init_of_namespace() ? ORIGIN_PID_NAMESPACE : ORIGIN_KERNEL;
}

/*
 * Who raised it. Only si_code tells: when a timer expires, the current task is
 * whoever happened to run. What the kernel raises for a write of the current task, or
 * at its end, carries no siginfo and would read as sent by a user.
 */
static __always_inline u8 signal_origin(u32 signal, u64 info, int code, void *target)
{
	u8 origin;

	switch (code) {
	case SI_TIMER:
		return is_sent_by_call(info) ? ORIGIN_USER : ORIGIN_TIMER;
	case SI_ASYNCIO:
		return is_sent_by_call(info) ? ORIGIN_USER : ORIGIN_IO;
	case SI_SIGIO:
		return ORIGIN_IO;
	}
	if (info == SEND_SIG_NOINFO && signal == SIGPIPE)
		return ORIGIN_IO;
	if (info == SEND_SIG_NOINFO && signal == SIGXFSZ)
		return ORIGIN_LIMIT;
	if (info == SEND_SIG_NOINFO || info == SEND_SIG_PRIV) {
		origin = origin_at_exit(signal, info, target);
		if (origin != ORIGIN_KERNEL)
			return origin;
	}
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

/* As read_ids(); many a program signals itself, and then nothing need be read. */
static __always_inline void ids_of_target(void *target, u32 *tid, u32 *tgid)
{
	u64 current_ids;

	if (target != (void *)bpf_get_current_task()) {
		read_ids(target, tid, tgid);
		return;
	}
	current_ids = bpf_get_current_pid_tgid();
	*tid = current_ids;
	*tgid = current_ids >> 32;
}

/*
 * On the raw tracepoint: timers raise signals in interrupts, in which the program of a
 * classic one is skipped when the interrupted task is in another program.
 * The arguments: int sig, struct kernel_siginfo *info, struct task_struct *task, int
 * group, int result.
 */
int signal_generate(struct raw_tracepoint *ctx)
{
	void *task = (void *)ctx->args[2];
	struct signals_generated_key key = {};
	bool is_shared = ctx->args[3];
	u32 signal = ctx->args[0], tid = 0, tgid = 0;
	struct process *process;
	u64 info = ctx->args[1];

	see(SEEN_SIGNAL_GENERATED);
	ids_of_target(task, &tid, &tgid);
	key.signal = signal;
	key.origin = signal_origin(signal, info, signal_code(info), task);
	key.result = ctx->args[4];
	process = record_of(tgid, task, &key.target);
	if (process)
		key.target = settled_group(tgid, process);
	if (key.origin != ORIGIN_USER)
		key.sender = GROUP_KERNEL;
	else	/* Many a program signals its own threads. */
		key.sender = tgid == current_tgid() ? key.target : group_of_current();
	count_signals_generated(&key, 1);
	if (!process || process->is_dead)
		return 0;
	process->signals++;	/* the kernel holds the target's siglock */
	if (key.result == RESULT_IGNORED && signal == SIGTERM)
		remember_term(process, bpf_ktime_get_boot_ns(), true);
	if (key.result == RESULT_DELIVERED)
		remember_generated(process, is_shared ? tgid : tid, signal, is_shared);
	else if (key.result != RESULT_LOSE_INFO)
		return 0;
#ifndef MARK_VICTIM_HAS_TASK
	if (signal == SIGKILL && key.origin == ORIGIN_KERNEL && tid != tgid)
		killed_threads.update(&tid, &tgid);
#endif
	/* A signal with a handler ends nobody, but some ask to. */
	if (!is_harmless(signal) && (asks_to_end(signal) || !is_handled(task, signal)))
		remember_blame(process, signal, key.origin);
	return 0;
}

/* The arguments: int sig, struct kernel_siginfo *info, struct k_sigaction *ka. */
int signal_deliver(struct raw_tracepoint *ctx)
{
	struct signals_delivered_key key = {};
	struct process *process;
	u32 tgid = current_tgid();
	u64 handler = 0;

	see(SEEN_SIGNAL_DELIVERED);
	READ_MEMBER(handler, ctx->args[2], OFF_K_SIGACTION_SA + OFF_SIGACTION_HANDLER);
	key.signal = ctx->args[0];
	process = record_of(tgid, (void *)bpf_get_current_task(), &key.target);
	if (process)
		key.target = settled_group(tgid, process);
	if (handler == 0)
		key.disposition = DISPOSITION_DEFAULT;
	else if (handler == 1)
		key.disposition = DISPOSITION_IGNORED;
	else
		key.disposition = DISPOSITION_HANDLED;
	count_signals_delivered(&key, 1);
	match_delivered(key.signal, process);
	return 0;
}
