// SPDX-License-Identifier: GPL-2.0
/*
 * The sweep: an iterator over all tasks, which sums in the kernel what processes are and
 * use, by group. One sweep runs at a time; user space numbers them, reads past_use
 * before and `swept` after.
 *
 * It may read too little and never too much, as the highest value is what user space
 * keeps. The walk goes by id, so threads may come before their leader, and between two
 * visits of a process its threads may end, or another program may begin:
 * - signal->… is read whole at the first visit, be it of the leader or not. A thread
 *   released later is missed; one that was released before is in it, and not visited.
 * - Whoever joins another group between two visits is left out from there on.
 * - An exec by another thread than the leader gives that thread the leader's id, where it
 *   would be visited again: the leader is another task then.
 */
struct task_iteration {
	void *meta;
	void *task;
};

BPF_HASH(swept, u32, struct swept, SIZE_GROUPS);
BPF_HASH(swept_signals, struct swept_signal_key, struct swept_signal, SIZE_SWEPT_SIGNALS);

/* include/linux/sched.h */
#define TASK_UNINTERRUPTIBLE	0x00000002
#define TASK_REPORT		0x0000007f
#define TASK_REPORT_IDLE	0x00000080
#define TASK_IDLE		0x00000402
#define TASK_RTLOCK_WAIT	0x00001000
#define TASK_FROZEN		0x00008000

#define RLIMIT_NOFILE		7
#define RLIMIT_SIGPENDING	11
#define UCOUNT_SIGPENDING	2	/* include/linux/user_namespace.h: enum rlimit_type */

/* Words of a descriptor table's bitmaps that are looked at: of 32,768 descriptors. */
#define BITMAP_WORDS		512
#define SMALL_WORDS		4
#define WORD_BITS		64

struct bitmap {
	u64 words[BITMAP_WORDS];
};

/* What is too large for the stack. One task is visited at a time. */
struct sweep_scratch {
	struct use use;
	struct use base;
	struct provisional_use provisional;
	struct swept nothing;
	struct bitmap bitmap;
	struct bitmap empty;
};

BPF_ARRAY(sweep_scratch, struct sweep_scratch, 1);

static __always_inline struct sweep_scratch *scratch_of_sweep(void)
{
	u32 zero = 0;

	return sweep_scratch.lookup(&zero);
}

/* As task_state_index() of fs/proc/array.c; the places are those of STATES in user space. */
static __always_inline u32 state_of(void *task)
{
	u32 state = 0, exit_state = 0, told;

	LOAD_MEMBER(state, task, OFF_TASK_STATE);
	LOAD_MEMBER(exit_state, task, OFF_TASK_EXIT_STATE);
	told = (state | exit_state) & TASK_REPORT;
	if ((state & TASK_IDLE) == TASK_IDLE)
		told = TASK_REPORT_IDLE;
	if (state & (TASK_RTLOCK_WAIT | TASK_FROZEN))
		told = TASK_UNINTERRUPTIBLE;
	return told ? bpf_log2(told) + 1 : 0;
}

static __always_inline void count_state(u32 *counts, u32 state)
{
	/* Whatever the compiler knows of its bound: the verifier must see it. */
	asm volatile("" : "+r"(state));
	counts[state & (STATE_SLOTS - 1)]++;
}

/* What this sweep found of a group so far. */
static __always_inline struct swept *swept_of(u32 group, u32 sweep)
{
	struct sweep_scratch *scratch = scratch_of_sweep();
	struct swept *found;

	if (!scratch)
		return NULL;
	found = swept.lookup_or_try_init(&group, &scratch->nothing);
	if (!found)
		return NULL;
	if (found->sweep != sweep) {
		*found = scratch->nothing;
		found->sweep = sweep;
	}
	return found;
}

/* Bits that are set: the Hamming weight, as lib/hweight.c has it. */
static __always_inline u64 weight_of(u64 word)
{
	word -= word >> 1 & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
	word = word + (word >> 4) & 0x0f0f0f0f0f0f0f0fULL;
	return word * 0x0101010101010101ULL >> 56;
}

/* Set bits of so many words. A branch at each word would be too much for the verifier. */
static __always_inline u64 weight_of_words(struct bitmap *bitmap, u32 words)
{
	u64 weight = 0;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < words; i++)
		weight += weight_of(bitmap->words[i]);
	return weight;
}

/* Set bits of a short bitmap. */
static __always_inline u64 weight_of_few(void *from, u64 words)
{
	u64 few[SMALL_WORDS] = {}, size = words * sizeof(u64), weight = 0;

	asm volatile("" : "+r"(size));
	if (size > sizeof(few))
		size = sizeof(few);
	bpf_probe_read_kernel(few, size, from);
#pragma unroll
	for (u32 i = 0; i < SMALL_WORDS; i++)
		weight += weight_of(few[i]);
	return weight;
}

static __always_inline bool read_words(struct sweep_scratch *scratch, void *from, u64 words)
{
	u64 size = words * sizeof(u64);

	/* The verifier must see the bound, whatever the compiler knows of it. */
	asm volatile("" : "+r"(size));
	if (size > sizeof(struct bitmap))
		size = sizeof(struct bitmap);
	bpf_probe_read_kernel(&scratch->bitmap, sizeof(struct bitmap), &scratch->empty);
	return !bpf_probe_read_kernel(&scratch->bitmap, size, from);
}

/*
 * Those beyond the words that are looked at, at least: of the words that are full, and of
 * the one with the lowest that is free, below which all are open.
 */
static __always_inline u64 count_far_descriptors(struct sweep_scratch *scratch, void *files,
						 void *table, u32 words)
{
	void *full = NULL;
	u32 lowest = 0;
	u64 count = 0;

	LOAD_MEMBER(full, table, OFF_FDTABLE_FULL_FDS_BITS);
	if (!read_words(scratch, full + BITMAP_WORDS / 8, (words - BITMAP_WORDS) / WORD_BITS + 1))
		return 0;
	count = weight_of_words(&scratch->bitmap, BITMAP_WORDS) * WORD_BITS;
	LOAD_MEMBER(lowest, files, OFF_FILES_NEXT_FD);
	if (lowest >= BITMAP_WORDS * WORD_BITS)
		count += lowest % WORD_BITS;
	return count;
}

/* Open descriptors, by the bitmap of the process's table. */
static __always_inline u64 count_descriptors(void *files)
{
	struct sweep_scratch *scratch = scratch_of_sweep();
	void *table = NULL, *open = NULL;
	u32 most = 0, words;
	u64 count;

	if (!scratch)
		return 0;
	LOAD_MEMBER(table, files, OFF_FILES_FDT);
	LOAD_MEMBER(most, table, OFF_FDTABLE_MAX_FDS);
	LOAD_MEMBER(open, table, OFF_FDTABLE_OPEN_FDS);
	words = most / WORD_BITS;
	if (words <= SMALL_WORDS)	/* as most have it */
		return weight_of_few(open, words);
	if (!read_words(scratch, open, words))
		return 0;
	count = weight_of_words(&scratch->bitmap, BITMAP_WORDS);
	if (words > BITMAP_WORDS)
		count += count_far_descriptors(scratch, files, table, words);
	return count;
}

static __always_inline u64 limit_of(void *signal, u32 which)
{
	u64 limit = 0;

	LOAD_MEMBER(limit, signal,
		    OFF_SIGNAL_RLIM + which * SIZE_OF_RLIMIT + OFF_RLIMIT_RLIM_CUR);
	return limit;
}

static __always_inline u64 sweep_descriptors(struct swept *found, void *files, void *signal)
{
	u64 count = count_descriptors(files), limit = limit_of(signal, RLIMIT_NOFILE), ratio;

	found->descriptors += count;
	ratio = limit ? (count << 32) / limit : 0;
	if (ratio > found->descriptors_ratio)
		found->descriptors_ratio = ratio;
	return count;
}

/* The order in the kernel's enum of counters: include/linux/mm_types_task.h. */
#define MM_FILEPAGES	0
#define MM_ANONPAGES	1
#define MM_SWAPENTS	2
#define MM_SHMEMPAGES	3

/* An array of struct percpu_counter since 6.2, of atomic_long_t before. */
#ifdef OFF_MM_RSS_STAT_COUNT
#define READ_PAGES(count, mm, which)						\
	READ_MEMBER(count, mm, OFF_MM_RSS_STAT + OFF_MM_RSS_STAT_COUNT +	\
		    (which) * sizeof(u64))
#else
#define READ_PAGES(count, mm, which)						\
	LOAD_MEMBER(count, mm, OFF_MM_RSS_STAT + (which) * SIZE_OF_PERCPU_COUNTER + \
		    OFF_PERCPU_COUNTER_COUNT)
#endif

/* Counters of several CPUs may be below 0 for a moment. */
static __always_inline u64 pages_of(void *mm, u32 which)
{
	s64 count = 0;

	READ_PAGES(count, mm, which);
	return count > 0 ? count : 0;
}

static __always_inline u64 sweep_memory(struct swept *found, void *mm)
{
	u64 pages = 0, resident;

	LOAD_MEMBER(pages, mm, OFF_MM_TOTAL_VM);
	resident = pages_of(mm, MM_FILEPAGES) + pages_of(mm, MM_ANONPAGES) +
		   pages_of(mm, MM_SHMEMPAGES);
	found->virtual_bytes += pages * PAGE_BYTES;
	found->resident_bytes += resident * PAGE_BYTES;
	found->swap_bytes += pages_of(mm, MM_SWAPENTS) * PAGE_BYTES;
	return resident * PAGE_BYTES;
}

/* A dead process that waits for its parent counts for the parent's group. */
static __always_inline void sweep_unreaped(void *leader, u32 sweep)
{
	void *parent = NULL;
	struct swept *found;
	u32 tgid = 0;

	LOAD_MEMBER(parent, leader, OFF_TASK_REAL_PARENT);
	LOAD_MEMBER(tgid, parent, OFF_TASK_TGID);
	found = swept_of(group_of(tgid, parent), sweep);
	if (found)
		found->unreaped++;
}

static __always_inline void sweep_signal_set(u32 group, u64 signals, u32 set, u32 sweep)
{
	struct swept_signal_key key = { .group = group, .set = set };
	struct swept_signal empty = {}, *found;

	if (!signals)
		return;
	for (u32 i = 0; i < 64; i++) {
		if (!(signals >> i & 1))
			continue;
		key.signal = i + 1;
		found = swept_signals.lookup_or_try_init(&key, &empty);
		if (!found) {
			degrade(DEGRADED_SWEPT_SIGNALS);
			continue;
		}
		if (found->sweep != sweep)
			found->processes = 0;
		found->sweep = sweep;
		found->processes++;
	}
}

static __always_inline void sweep_signals(struct swept *found, u32 group, void *leader,
					  void *signal, u32 sweep)
{
	u64 own = 0, shared = 0, blocked = 0, queued = 0, limit = 0;
	void *cred = NULL, *counts = NULL;

	LOAD_MEMBER(own, leader, OFF_TASK_PENDING + OFF_SIGPENDING_SIGNAL);
	LOAD_MEMBER(shared, signal, OFF_SIGNAL_SHARED_PENDING + OFF_SIGPENDING_SIGNAL);
	LOAD_MEMBER(blocked, leader, OFF_TASK_BLOCKED);
	sweep_signal_set(group, own | shared, SET_PENDING, sweep);
	sweep_signal_set(group, blocked, SET_BLOCKED, sweep);
#ifdef OFF_UCOUNTS_RLIMIT
	LOAD_MEMBER(cred, leader, OFF_TASK_REAL_CRED);
	LOAD_MEMBER(counts, cred, OFF_CRED_UCOUNTS);
	READ_MEMBER(queued, counts, OFF_UCOUNTS_RLIMIT + UCOUNT_SIGPENDING * sizeof(u64));
	limit = limit_of(signal, RLIMIT_SIGPENDING);
	/* Compared without a division; a limit of 2^31 is none. */
	if (limit > (1ULL << 31))
		limit = 1ULL << 31;
	if (limit && queued < (1ULL << 31) &&
	    (!found->queued_limit || queued * found->queued_limit > found->queued * limit)) {
		found->queued = queued;
		found->queued_limit = limit;
	}
#endif
}

/* What a process is, at its leader. */
static __always_inline void sweep_process(struct swept *found, u32 group, void *leader,
					  void *signal, u32 state, u64 start_ns, u32 sweep)
{
	u32 threads = 0;

	count_state(found->processes, state);
	if (!found->oldest_start_ns || start_ns < found->oldest_start_ns)
		found->oldest_start_ns = start_ns;
	LOAD_MEMBER(threads, signal, OFF_SIGNAL_NR_THREADS);
	/* One whose other threads live on is not dead. */
	if (state == STATE_ZOMBIE && threads <= 1) {
		sweep_unreaped(leader, sweep);
		return;
	}
	sweep_signals(found, group, leader, signal, sweep);
}

/* Time on run queues that was not added to that of the process's ended threads. */
static __always_inline u64 own_run_delay(struct user *user, void *task, bool is_leader)
{
	u32 flags = 0;

	LOAD_MEMBER(flags, task, OFF_TASK_FLAGS);
	if (flags & PF_EXITING && (!is_leader || user->ended_leader == (u64)task))
		return 0;
	return run_delay_of(task, true);
}

static __always_inline u32 sequence_of(void *signal)
{
	u32 sequence = 0;

	LOAD_MEMBER(sequence, signal, OFF_SIGNAL_STATS_LOCK);
	return sequence;
}

/*
 * What a visit adds: a thread's own use, at the first visit also that of all released
 * ones. False when a thread was released meanwhile, this one or another: it may be in
 * both. At later visits that does no harm, as it was looked up after the first.
 */
static __always_inline bool read_use(struct use *use, struct user *user, void *task, void *signal,
				     bool is_first, bool is_leader)
{
	u32 sequence = sequence_of(signal);
	void *pid = NULL;

	if (is_first) {
		add_released_use(use, signal, true);
		use->run_delay_ns += user->ended_delay_ns;
	}
	add_own_use(use, task, true);
	use->run_delay_ns += own_run_delay(user, task, is_leader);
	LOAD_MEMBER(pid, task, OFF_TASK_THREAD_PID);
	return !is_first || (pid && !(sequence & 1) && sequence_of(signal) == sequence);
}

#define NO_GROUP	(~0)

/*
 * The group for which a process counts in this sweep; what counts for it is in
 * scratch->use then. Until user space has placed the process, that is the one of its name,
 * and what was told for that one stays there: scratch->provisional says how much.
 * NO_GROUP where there is no room to remember that.
 */
static __always_inline u32 begin_visit(u32 tgid, u64 exec_id, u32 group, u32 sweep,
				       struct sweep_scratch *scratch)
{
	struct provisional_use *provisional = NULL;
	struct placement *placement = NULL;

	scratch->provisional.exec_id = exec_id;
	scratch->provisional.told = scratch->base;
	if (exec_id) {
		placement = placement_of(tgid, exec_id);
		provisional = provisional_use.lookup(&tgid);
		if (provisional && provisional->exec_id != exec_id)
			provisional = NULL;
		if (provisional)
			raise_use(&provisional->told, &provisional->collected);
	}
	if (placement) {
		if (provisional)
			scratch->provisional.told = provisional->told;
		subtract_use(&scratch->use, &scratch->provisional.told);
		return placement->group;
	}
	if (exec_id) {
		if (!provisional) {
			provisional_use.update(&tgid, &scratch->provisional);
			provisional = provisional_use.lookup(&tgid);
		}
		if (!provisional) {
			degrade(DEGRADED_USE);
			return NO_GROUP;
		}
		provisional->collected = scratch->use;
		provisional->sweep = sweep;
	}
	subtract_use(&scratch->use, &scratch->base);
	return group;
}

/* Another thread of a process that user space has not placed. */
static __always_inline void collect_more(u32 tgid, u64 exec_id, u32 sweep, struct use *use)
{
	struct provisional_use *provisional = provisional_use.lookup(&tgid);

	if (provisional && provisional->exec_id == exec_id && provisional->sweep == sweep)
		add_use(&provisional->collected, use);
}

/* Whether the record is the same as when it was looked at: nobody joined another group. */
static __always_inline bool is_same(struct user *user, u64 start_ns, u32 joined)
{
	barrier();
	return user->joined == joined && user->start_ns == start_ns;
}

/* What a thread and, at the first visit, all released ones of its process have used. */
static __always_inline void sweep_use(u32 tgid, struct process *process, struct user *user,
				      void *task, void *leader, void *signal, u32 sweep,
				      struct sweep_scratch *scratch)
{
	u32 joined = user->joined, group, counts_for;
	bool is_first = user->visit != sweep;
	u64 start_ns = user->start_ns, exec_id;
	struct swept *found;

	if (joined & 1)
		return;
	if (!is_first && (user->visit_joined != joined || user->visit_leader != (u64)leader))
		return;
	barrier();
	group = process->group;
	exec_id = process->exec_id;
	scratch->base = user->base;
	__builtin_memset(&scratch->use, 0, sizeof(scratch->use));
	if (!read_use(&scratch->use, user, task, signal, is_first, task == leader) ||
	    !is_same(user, start_ns, joined))
		return;
	if (!is_first) {
		user->cpu_ns += scratch->use.cpu_ns;
		counts_for = user->visit_group;
		if (exec_id)
			collect_more(tgid, exec_id, sweep, &scratch->use);
	} else {
		user->cpu_ns = scratch->use.cpu_ns;
		user->signals = process->signals;
		counts_for = begin_visit(tgid, exec_id, group, sweep, scratch);
		/* An exec meanwhile has told for the name's group what would be told here. */
		if (!is_same(user, start_ns, joined))
			return;
		user->visit_group = counts_for;
		user->visit_joined = joined;
		user->visit_leader = (u64)leader;
		user->visit = sweep;
		found = exec_id && counts_for != NO_GROUP ? swept_of(group, sweep) : NULL;
		if (found) {
			add_use(&found->use, &scratch->provisional.told);
			subtract_use(&found->use, &scratch->base);
		}
	}
	found = counts_for == NO_GROUP ? NULL : swept_of(counts_for, sweep);
	if (found)
		add_use(&found->use, &scratch->use);
}

/*
 * Memory and descriptors are those of the process: the first thread that has them tells
 * them. A thread of the kernel may borrow somebody's memory.
 */
static __always_inline void sweep_shared(struct swept *found, struct user *user, void *task,
					 void *signal, bool is_kernel, u32 sweep)
{
	void *mm = NULL, *files = NULL;

	if (user->told_memory != sweep && !is_kernel) {
		LOAD_MEMBER(mm, task, OFF_TASK_MM);
		if (mm) {
			user->told_memory = sweep;
			user->resident_bytes = sweep_memory(found, mm);
		}
	}
	if (user->told_descriptors != sweep) {
		LOAD_MEMBER(files, task, OFF_TASK_FILES);
		if (files) {
			user->told_descriptors = sweep;
			user->descriptors = sweep_descriptors(found, files, signal);
		}
	}
}

int bpf_iter__task(struct task_iteration *ctx)
{
	u32 place = SETTING_SWEEP, tid = 0, tgid = 0, group = GROUP_OTHER, state, *sweep;
	struct sweep_scratch *scratch = scratch_of_sweep();
	void *task = ctx->task, *leader, *signal = NULL;
	struct process *process;
	struct user *user = NULL;
	struct swept *found;
	u64 start_ns = 0;

	sweep = settings.lookup(&place);
	if (!task || !sweep || !scratch)
		return 0;
	LOAD_MEMBER(tid, task, OFF_TASK_PID);
	LOAD_MEMBER(tgid, task, OFF_TASK_TGID);
	LOAD_MEMBER(leader, task, OFF_TASK_GROUP_LEADER);
	/* In the middle of an exec by another thread than the leader. */
	if ((task == leader) != (tid == tgid))
		return 0;
	LOAD_MEMBER(signal, task, OFF_TASK_SIGNAL);
	LOAD_MEMBER(start_ns, leader, OFF_TASK_START_BOOTTIME);
	process = record_of(tgid, leader, &group);
	if (process) {
		group = settled_group(tgid, process);
		if (is_life_of(process, start_ns) && !process->is_use_unknown)
			user = user_of(tgid, process);
	}
	if (user)
		sweep_use(tgid, process, user, task, leader, signal, *sweep, scratch);
	/* What it is counts for the group that it is in now, which may be another one already. */
	found = swept_of(group, *sweep);
	if (!found)
		return 0;
	state = state_of(task);
	count_state(found->threads, state);
	if (user)
		sweep_shared(found, user, task, signal, group == GROUP_KERNEL, *sweep);
	if (task == leader)
		sweep_process(found, group, leader, signal, state, start_ns, *sweep);
	return 0;
}
