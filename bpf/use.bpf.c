// SPDX-License-Identifier: GPL-2.0
/*
 * What processes use, and for which group that counts: the one that the process is in
 * while it uses it.
 *
 * A thread's use is its own until the kernel releases the thread; then it is in that of
 * its process, signal->…, for good. So at any moment the process has used what is in
 * signal->… and what its threads have that are not released. A record keeps what that
 * was when the process joined its group; what leaves with an exec into another group, or
 * with the last of the process, goes to the past of the group.
 */

/* What the processes of a group used that have left it. */
BPF_ARRAY(past_use, struct use, SIZE_GROUPS);
/* By process. */
BPF_HASH(users, u32, struct user, SIZE_PROCESSES);
BPF_ARRAY(new_user, struct user, 1);	/* all zero */
/* By process, while user space has not placed it, or where it did so after a sweep. */
BPF_HASH(provisional_use, u32, struct provisional_use, SIZE_PROVISIONAL_USE);

/*
 * Of a record that another CPU may be writing: `joined` is odd meanwhile. That orders the
 * compiler. Where the processor reorders stores, as arm64 may, a sweep that meets an exec
 * to the nanosecond could take half of it; that is accepted.
 */
#define barrier()	asm volatile("" : : : "memory")

#define USE_FIELDS	(sizeof(struct use) / sizeof(u64))

static __always_inline void add_use(struct use *to, struct use *more)
{
	u64 *sum = (u64 *)to, *part = (u64 *)more;

#pragma unroll
	for (int i = 0; i < USE_FIELDS; i++)
		sum[i] += part[i];
}

static __always_inline void subtract_use(struct use *from, struct use *less)
{
	u64 *rest = (u64 *)from, *part = (u64 *)less;

#pragma unroll
	for (int i = 0; i < USE_FIELDS; i++)
		rest[i] -= part[i];
}

static __always_inline void raise_use(struct use *held, struct use *seen)
{
	u64 *most = (u64 *)held, *found = (u64 *)seen;

#pragma unroll
	for (int i = 0; i < USE_FIELDS; i++)
		most[i] = found[i] > most[i] ? found[i] : most[i];
}

/* To the past of a group: what was used from one moment to another. */
static __always_inline void count_past_use(u32 group, struct use *from, struct use *to)
{
	struct use *past = past_use.lookup(&group);
	u64 *sum = (u64 *)past, *before = (u64 *)from, *after = (u64 *)to;

	if (!past)
		return;
	/* Much of it is 0 for a short life, and an atomic addition is dear. Nothing is negative. */
#pragma unroll
	for (int i = 0; i < USE_FIELDS; i++)
		if (after[i] > before[i])
			__sync_fetch_and_add(&sum[i], after[i] - before[i]);
}

/* `is_typed`: in the iterator, whose reading must cost nothing. */
#define READ_TYPED(value, base, offset, is_typed)				\
do {										\
	if (is_typed)								\
		LOAD_MEMBER(value, base, offset);				\
	else									\
		READ_MEMBER(value, base, offset);				\
} while (0)

/* Two members that are neighbours unless the kernel's structures are shuffled. */
#define ADD_PAIR(first, second, base, first_offset, second_offset, is_typed)	\
do {										\
	u64 both[2] = {};							\
										\
	if (!(is_typed) && (second_offset) == (first_offset) + sizeof(u64)) {	\
		READ_MEMBER(both, base, first_offset);				\
	} else {								\
		READ_TYPED(both[0], base, first_offset, is_typed);		\
		READ_TYPED(both[1], base, second_offset, is_typed);		\
	}									\
	(first) += both[0];							\
	(second) += both[1];							\
} while (0)

/* Of struct task_io_accounting, which a kernel may keep in parts. */
static __always_inline void add_io(struct use *use, void *ioac, bool is_typed)
{
#ifdef OFF_IOAC_RCHAR
	ADD_PAIR(use->rchar, use->wchar, ioac, OFF_IOAC_RCHAR, OFF_IOAC_WCHAR, is_typed);
#endif
#ifdef OFF_IOAC_READ_BYTES
	ADD_PAIR(use->read_bytes, use->write_bytes, ioac, OFF_IOAC_READ_BYTES,
		 OFF_IOAC_WRITE_BYTES, is_typed);
#endif
}

/* Of all threads that were released. */
static __always_inline void add_released_use(struct use *use, void *signal, bool is_typed)
{
	u64 cpu_ns = 0;

	READ_TYPED(cpu_ns, signal, OFF_SIGNAL_SUM_SCHED_RUNTIME, is_typed);
	use->cpu_ns += cpu_ns;
	ADD_PAIR(use->utime_ns, use->stime_ns, signal, OFF_SIGNAL_UTIME, OFF_SIGNAL_STIME,
		 is_typed);
	ADD_PAIR(use->min_flt, use->maj_flt, signal, OFF_SIGNAL_MIN_FLT, OFF_SIGNAL_MAJ_FLT,
		 is_typed);
	ADD_PAIR(use->nvcsw, use->nivcsw, signal, OFF_SIGNAL_NVCSW, OFF_SIGNAL_NIVCSW, is_typed);
#ifdef OFF_SIGNAL_IOAC
	add_io(use, signal + OFF_SIGNAL_IOAC, is_typed);
#endif
}

/* A thread's own. */
static __always_inline void add_own_use(struct use *use, void *task, bool is_typed)
{
	u64 cpu_ns = 0;

	READ_TYPED(cpu_ns, task, OFF_TASK_SUM_EXEC_RUNTIME, is_typed);
	use->cpu_ns += cpu_ns;
	ADD_PAIR(use->utime_ns, use->stime_ns, task, OFF_TASK_UTIME, OFF_TASK_STIME,
		 is_typed);
	ADD_PAIR(use->min_flt, use->maj_flt, task, OFF_TASK_MIN_FLT, OFF_TASK_MAJ_FLT,
		 is_typed);
	ADD_PAIR(use->nvcsw, use->nivcsw, task, OFF_TASK_NVCSW, OFF_TASK_NIVCSW, is_typed);
#ifdef OFF_TASK_IOAC
	add_io(use, task + OFF_TASK_IOAC, is_typed);
#endif
}

/* Time on run queues. */
static __always_inline u64 run_delay_of(void *task, bool is_typed)
{
	u64 delay_ns = 0;

#ifdef OFF_TASK_RUN_DELAY
	READ_TYPED(delay_ns, task, OFF_TASK_RUN_DELAY, is_typed);
#endif
	return delay_ns;
}

/* What is remembered of this life of a process; NULL when there is no room. */
static __always_inline struct user *user_of(u32 tgid, struct process *process)
{
	struct user *user = users.lookup(&tgid), *fresh;
	u32 zero = 0;

	if (user && user->start_ns == process->start_ns)
		return user;
	fresh = new_user.lookup(&zero);
	if (!fresh)
		return NULL;
	if (user && user->start_ns)
		users.update(&tgid, fresh);	/* it is of an earlier life */
	else
		users.insert(&tgid, fresh);	/* another thread may just be making it */
	user = users.lookup(&tgid);
	if (user)
		user->start_ns = process->start_ns;
	return user;
}

/*
 * The current thread ends. The main one's delay can be read until the process is freed,
 * unless another takes its place by an exec. That one is another task: the address tells.
 */
static __always_inline void keep_run_delay(u32 tgid, void *leader, void *signal)
{
	void *task = (void *)bpf_get_current_task();
	struct process *process;
	struct user *user;
	u32 threads = 0;

	if (task == leader) {
		READ_MEMBER(threads, signal, OFF_SIGNAL_NR_THREADS);
		if (threads == 1)
			return;
	}
	process = processes.lookup(&tgid);
	user = process ? user_of(tgid, process) : NULL;
	if (!user)
		return;
	if (task == leader)
		user->ended_leader = (u64)task;
	__sync_fetch_and_add(&user->ended_delay_ns, run_delay_of(task, false));
}

/*
 * Where user space placed a process after a sweep, what had been told for the group of
 * its name stays there: what it used in the group that it is in begins after that.
 */
static __always_inline void settle_provisional(u32 tgid, struct process *process, struct use *base)
{
	struct provisional_use *provisional = provisional_use.lookup(&tgid);

	if (!provisional)
		return;
	if (process->exec_id && provisional->exec_id == process->exec_id) {
		raise_use(&provisional->told, &provisional->collected);
		count_past_use(process->group, base, &provisional->told);
		*base = provisional->told;
	}
	provisional_use.delete(&tgid);
}

/* A process leaves its group: what it used in it goes to the past. */
static __always_inline void leave_group(u32 tgid, struct process *process, struct use *base,
					struct use *now)
{
	settle_provisional(tgid, process, base);
	count_past_use(settled_group(tgid, process), base, now);
}

/* What is too large for the stack; the program that frees may interrupt the other. */
enum use_scratch {
	SCRATCH_EXEC,
	SCRATCH_FREE,
	SCRATCH_COUNT,
};

BPF_PERCPU_ARRAY(use_scratch, struct use, SCRATCH_COUNT);

static __always_inline struct use *clean_scratch(u32 which)
{
	struct use *use = use_scratch.lookup(&which);

	if (use)
		__builtin_memset(use, 0, sizeof(*use));
	return use;
}

/* The current process, of one thread now, is about to join the group that follows. */
static __always_inline struct user *begin_joining(u32 tgid, struct process *process)
{
	void *task = (void *)bpf_get_current_task(), *signal = NULL;
	struct use *now = clean_scratch(SCRATCH_EXEC);
	struct user *user = user_of(tgid, process);

	if (!user || !now) {
		process->is_use_unknown = 1;
		return NULL;
	}
	READ_MEMBER(signal, task, OFF_TASK_SIGNAL);
	add_released_use(now, signal, false);
	add_own_use(now, task, false);
	now->run_delay_ns = user->ended_delay_ns + run_delay_of(task, false);
	user->joined++;
	barrier();
	leave_group(tgid, process, &user->base, now);
	user->base = *now;
	return user;
}

static __always_inline void end_joining(struct user *user)
{
	barrier();
	if (user)
		user->joined++;
}

/* Processes that have ended, but are not freed, while others have their PIDs. */
BPF_TABLE("lru_hash", struct departed_key, struct departed, departed, SIZE_DEPARTED);

/* Its record goes. How much it used in all is known when it is freed. */
static __always_inline void depart(u32 tgid, struct process *process)
{
	struct departed_key key = { .start_ns = process->start_ns, .tgid = tgid };
	struct departed left = { .group = settled_group(tgid, process) };
	struct user *user = users.lookup(&tgid);

	if (user && user->start_ns == process->start_ns)
		left.base = user->base;
	settle_provisional(tgid, process, &left.base);
	if (!process->is_use_unknown)
		departed.update(&key, &left);
	if (user)
		users.delete(&tgid);
}

/* The kernel frees one that had departed. Its delays are lost. */
static __always_inline bool count_departed(u32 tgid, u64 start_ns, void *leader)
{
	struct departed_key key = { .start_ns = start_ns, .tgid = tgid };
	struct departed *left = departed.lookup(&key);
	struct use now = {};
	void *signal = NULL;

	if (!left) {	/* its start may be as user space knew it */
		key.start_ns -= start_ns % TICK_NS;
		left = departed.lookup(&key);
	}
	if (!left)
		return false;
	READ_MEMBER(signal, leader, OFF_TASK_SIGNAL);
	add_released_use(&now, signal, false);
	now.run_delay_ns = left->base.run_delay_ns;
	count_past_use(left->group, &left->base, &now);
	departed.delete(&key);
	return true;
}

/* The kernel frees the last of a process: all that it used is in signal->… now. */
static __always_inline void count_whole_use(u32 tgid, struct process *process, void *leader)
{
	struct use *now = clean_scratch(SCRATCH_FREE), base = {};
	struct user *user = users.lookup(&tgid);
	void *signal = NULL;

	if (!now)
		return;
	if (process->is_use_unknown) {
		degrade(DEGRADED_USE);
		provisional_use.delete(&tgid);
		users.delete(&tgid);
		return;
	}
	READ_MEMBER(signal, leader, OFF_TASK_SIGNAL);
	add_released_use(now, signal, false);
	if (!user || user->start_ns != process->start_ns) {
		now->run_delay_ns = run_delay_of(leader, false);
		leave_group(tgid, process, &base, now);
		return;
	}
	now->run_delay_ns = user->ended_delay_ns;
	if (user->ended_leader != (u64)leader)
		now->run_delay_ns += run_delay_of(leader, false);
	leave_group(tgid, process, &user->base, now);
	users.delete(&tgid);
}
