// SPDX-License-Identifier: GPL-2.0
/*
 * What processes are, as a sweep finds it: their states, memory, descriptors and signals,
 * summed by group. All of it is read of the task that the iterator visits.
 */
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
	if (!table)
		return 0;
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

static __always_inline void sweep_descriptors(struct swept *found, u64 count, void *signal)
{
	u64 limit = limit_of(signal, RLIMIT_NOFILE), ratio;

	found->descriptors += count;
	ratio = limit ? (count << 32) / limit : 0;
	if (ratio > found->descriptors_ratio)
		found->descriptors_ratio = ratio;
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
	if (!parent)
		return;
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
	if (cred)
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

/*
 * Memory and descriptors are those of the process: the first thread that has them tells
 * them. Whether it is this one.
 */
static __always_inline bool read_descriptors(struct user *user, void *task, u32 sweep)
{
	void *files = NULL;

	if (user->told_descriptors == sweep)
		return false;
	LOAD_MEMBER(files, task, OFF_TASK_FILES);
	if (!files)
		return false;
	user->told_descriptors = sweep;
	user->descriptors = count_descriptors(files);
	return true;
}

/* A thread of the kernel may borrow somebody's memory. */
static __always_inline void sweep_shared_memory(struct swept *found, struct user *user, void *task,
						bool is_kernel, u32 sweep)
{
	void *mm = NULL;

	if (user->told_memory == sweep || is_kernel)
		return;
	LOAD_MEMBER(mm, task, OFF_TASK_MM);
	if (!mm)
		return;
	user->told_memory = sweep;
	user->resident_bytes = sweep_memory(found, mm);
}
