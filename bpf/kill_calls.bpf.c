// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own calls that send signals: attempts that failed, and those with
 * signal 0, which only ask whether somebody is there. What was sent is counted where it
 * is generated.
 *
 * Where the kernel has kprobes, they are on the six calls, and no other call is slowed.
 * Elsewhere one raw tracepoint at the exit of all calls has to do. Both take the arguments
 * when the call is done: the registers of the caller still hold them.
 */
static __always_inline void count_kill_call(u32 call, s32 signal, long result)
{
	struct liveness_probes_key probe = { .call = call, .result = -result };
	struct kill_failures_key failure = { .call = call, .errno = -result };
	u32 sender;

	if (signal && result >= 0)
		return;
	sender = group_of_current();
	if (signal) {
		failure.sender = sender;
		count_kill_failures(&failure, 1);
	} else {
		probe.sender = sender;
		count_liveness_probes(&probe, 1);
	}
}

/*
 * The arguments two and three, as user space passed them, and which ABI the call is of. The
 * registers are those of read_registers().
 */
#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
#define X32_BIT		0x40000000
#define TS_COMPAT	0x0002	/* arch/x86/include/asm/thread_info.h */

/* Of the registers all that is needed, and the number of the call. */
static __always_inline long read_registers(struct pt_regs *regs, struct pt_regs *user)
{
	bpf_probe_read_kernel(&user->cx, (void *)&regs->ip - (void *)&regs->cx, &regs->cx);
	return user->orig_ax & ~X32_BIT;
}

static __always_inline s32 second_of(struct pt_regs *user, bool is_32bit)
{
	return is_32bit ? user->cx : user->si;
}

static __always_inline s32 third_of(struct pt_regs *user, bool is_32bit)
{
	return user->dx;
}

static __always_inline bool is_32bit_call(void)
{
	u32 status = 0;

	READ_MEMBER(status, bpf_get_current_task(), OFF_THREAD_INFO_STATUS);
	return status & TS_COMPAT;
}
#else
#define THREAD_INFO_32BIT	BIT(22)	/* arch/arm64/include/asm/thread_info.h: TIF_32BIT */

/* Of the registers all that is needed, and the number of the call. */
static __always_inline long read_registers(struct pt_regs *regs, struct pt_regs *user)
{
	int number = 0;

	READ_MEMBER(number, regs, OFF_PT_REGS_SYSCALLNO);
	bpf_probe_read_kernel(&user->regs[1], 2 * sizeof(user->regs[1]), &regs->regs[1]);
	return number;
}

static __always_inline s32 second_of(struct pt_regs *user, bool is_32bit)
{
	return user->regs[1];
}

static __always_inline s32 third_of(struct pt_regs *user, bool is_32bit)
{
	return user->regs[2];
}

static __always_inline bool is_32bit_call(void)
{
	u64 flags = 0;

	READ_MEMBER(flags, bpf_get_current_task(), OFF_THREAD_INFO_FLAGS);
	return flags & THREAD_INFO_32BIT;
}
#endif

#ifdef WITH_KILL_CALLS
/* Counts a call if it is one of the six: the loader makes it of their numbers. */
static __always_inline int kill_call_done(struct pt_regs *regs, long result);

/* The arguments: struct pt_regs *regs, long result. */
int sys_exit(struct raw_tracepoint *ctx)
{
	long result = ctx->args[1];

	return result > 0 ? 0 : kill_call_done((void *)ctx->args[0], result);
}
#endif

#ifdef WITH_KILL_KPROBES
/* Words of 64 bits for PIDs of 22 bits (include/linux/threads.h: PID_MAX_LIMIT). */
#define CALLER_WORDS	BIT(16)

/*
 * Threads on their way through a call: a bit for each that there can be, those of neighbours
 * in words of their own. The kernel tracks a limited number of returns at once; of one beyond
 * that the bit stays.
 */
BPF_ARRAY(kill_callers, u64, CALLER_WORDS);

/*
 * Set or clear the bit of the current thread, and whether it was set. No other thread
 * touches that bit, so to add it is to set it.
 */
static __always_inline bool mark_caller(u32 tid, bool is_calling)
{
	u64 bit = BIT(tid / CALLER_WORDS % 64), *word;
	u32 place = tid % CALLER_WORDS;
	bool was_calling;

	word = kill_callers.lookup(&place);
	if (!word)
		return false;
	was_calling = *word & bit;
	if (was_calling != is_calling)
		__sync_fetch_and_add(word, is_calling ? bit : -bit);
	return was_calling;
}

int enter_kill_call(struct pt_regs *ctx)
{
	if (mark_caller(bpf_get_current_pid_tgid(), true))
		degrade(DEGRADED_KILL_CALLS);
	return 0;
}

#ifdef HAVE_TASK_PT_REGS
/* include/uapi/linux/bpf.h; by their numbers, as bcc may be older than they are. */
static void *(*current_task_btf)(void) = (void *)158;
static struct pt_regs *(*registers_of)(void *task) = (void *)175;
#endif

/*
 * What user space had in its registers when it made the call. Kernels that have not the
 * helper have them at the end of the stack, with nothing behind them.
 */
static __always_inline struct pt_regs *caller_registers(void)
{
#ifdef HAVE_TASK_PT_REGS
	return registers_of(current_task_btf());
#else
	void *stack = NULL;

	READ_MEMBER(stack, bpf_get_current_task(), OFF_TASK_STACK);
	return stack + THREAD_BYTES - SIZE_OF_PT_REGS;
#endif
}

int exit_kill_call(struct pt_regs *ctx)
{
	mark_caller(bpf_get_current_pid_tgid(), false);
	return kill_call_done(caller_registers(), PT_REGS_RC(ctx));
}

/* A thread ends outside of any call, so what is left of it went unseen. */
static __always_inline void kill_forget(u32 tid)
{
	if (mark_caller(tid, false))
		degrade(DEGRADED_KILL_CALLS);
}
#else
static __always_inline void kill_forget(u32 tid)
{
}
#endif
