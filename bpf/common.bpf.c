// SPDX-License-Identifier: GPL-2.0
/*
 * Counting, and what becomes of what could not be counted.
 *
 * The files of this folder are one program text, as bcc rewrites only what is in the
 * main file. In front of it stand the enumerations and structures, after this file the
 * maps of counters with a function for each, count_NAME() or observe_NAME(): all of
 * them are made from their one description in Python. Totals are counted here, in
 * per-CPU maps; user space only reads them. Offsets into kernel structures (OFF_*)
 * come from BTF, map sizes (SIZE_*) from the settings.
 */

/* Events that came by, counted before anything else can go wrong. */
BPF_PERCPU_ARRAY(seen, u64, SEEN_COUNT);
/* Events that were seen and not counted, by cause. */
BPF_PERCPU_ARRAY(drops, u64, DROP_COUNT);
/* Events that were counted, and lost only a detail. */
BPF_PERCPU_ARRAY(degraded, u64, DEGRADED_COUNT);

/*
 * Atomic, although a counter is this CPU's own: the program of a raw tracepoint may
 * interrupt another.
 */
static __always_inline void see(u32 event)
{
	u64 *count = seen.lookup(&event);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void drop(u32 cause)
{
	u64 *count = drops.lookup(&cause);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void degrade(u32 what)
{
	u64 *count = degraded.lookup(&what);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* What a raw tracepoint passes: the arguments of the kernel's own trace_NAME(). */
struct raw_tracepoint {
	u64 args[0];
};

/* Records that are told one by one. */
BPF_RINGBUF_OUTPUT(events, SIZE_EVENTS);

/* When the reader of the ring was last woken. */
BPF_ARRAY(woken, u64, 1);

/* include/uapi/linux/bpf.h */
#define BPF_RB_NO_WAKEUP	1
#define BPF_RB_FORCE_WAKEUP	2

#define WAKE_NS	50000000ULL

/*
 * Waking the reader costs more than the rest of the exit path, so it is woken at most
 * every 50 ms. The ring has room for what can happen in between; the last records wait
 * until the reader looks by itself, or is asked.
 */
static __always_inline u64 wake_now_and_then(u64 now)
{
	u32 zero = 0;
	u64 *last = woken.lookup(&zero);

	if (!last || now - *last < WAKE_NS)
		return BPF_RB_NO_WAKEUP;
	*last = now;
	return BPF_RB_FORCE_WAKEUP;
}

#define BIT(n)	(1ULL << (n))

/* The n of (2^n, 2^(n+1)] that holds the value: bounds of buckets are inclusive. */
static __always_inline u32 slot_of(u64 ns)
{
	return ns > 1 ? bpf_log2l(ns - 1) - 1 : 0;
}

/* The first bucket ends at 2^(first + 1), the others 2^step apart; one more takes the rest. */
static __always_inline u16 bucket_of(u64 ns, u32 first, u32 step, u32 buckets)
{
	u32 slot = slot_of(ns), bucket;

	if (slot <= first)
		return 0;
	bucket = (slot - first + step - 1) / step;
	return bucket < buckets ? bucket : buckets;
}

/* groups.bpf.c; named here for the functions that are made of the families. */
static __always_inline u32 declared_or_other(u32 group);

/* A member of a kernel structure, by its offset. */
#define READ_MEMBER(value, base, offset) \
	bpf_probe_read_kernel(&(value), sizeof(value), (void *)(base) + (offset))

/*
 * The same without a call, for the iterator: the verifier knows the type of its task, and of
 * what its members point to. As there, what cannot be read is 0. It must be one member, of
 * 4 or 8 bytes: several at once have no type, and before 6.2 nor have those of an array of
 * atomic_long_t. A pointer that is under RCU must be compared with NULL before what it
 * points to is loaded: where clang built the kernel, the verifier knows which are.
 */
#define LOAD_MEMBER(value, base, offset)						\
	((value) = (typeof(value))(sizeof(value) == sizeof(u64) ?			\
				   LOAD(u64, base, offset) : LOAD(u32, base, offset)))

/* The compiler would cast the pointer's type away, or bcc make a call of it. */
#define LOAD(type, base, offset)							\
({											\
	u64 loaded;									\
											\
	asm volatile("%0 = *(" #type " *)(%1 + %2)"					\
		     : "=r"(loaded) : "r"((void *)(base)), "i"(offset));		\
	loaded;										\
})
