// SPDX-License-Identifier: GPL-2.0
/*
 * Counting, and what becomes of what could not be counted.
 *
 * The files of this folder are one program text: the loader joins them, as bcc
 * rewrites only what is in the main file. Totals are counted here, in per-CPU
 * maps; user space only reads them. Offsets into kernel structures (OFF_*) come
 * from BTF, map sizes (SIZE_*) from the settings.
 */
#include <linux/types.h>
#include <linux/ptrace.h>

/* Why something was not counted; decode.py has the names, in this order. */
enum drop_cause {
	DROP_FT_CALLS_FULL,
	DROP_FT_INFLIGHT_FULL,
	DROP_FT_RETURN_MISSED,
	DROP_FT_CALL_DURATION_FULL,
	DROP_SIGNALS_GENERATED_FULL,
	DROP_SIGNALS_DELIVERED_FULL,
	DROP_FORKS_FULL,
	DROP_EXECS_FULL,
	DROP_EXITS_FULL,
	DROP_GROUP_OF_FULL,
	DROP_GROUPS_FULL,
	DROP_BLAMES_FULL,
	DROP_DEATHS_FULL,
	DROP_LIVES_FULL,
	DROP_KILL_CALLS_FULL,
	DROP_KILL_PROBES_FULL,
	DROP_ZOMBIES_FULL,
	DROP_DELIVERY_FULL,
	DROP_PLACEMENTS_FULL,
	DROP_CGROUPS_FULL,
	DROP_CAUSES,
};

BPF_PERCPU_ARRAY(drops, u64, DROP_CAUSES);

/*
 * What came by, counted before anything else can go wrong: of each of these, seen is
 * counted + dropped. decode.py has the names, in this order.
 */
enum seen_event {
	SEEN_FORK,
	SEEN_EXEC,
	SEEN_EXIT,
	SEEN_SIGNAL_GENERATED,
	SEEN_SIGNAL_DELIVERED,
	SEEN_FT_CALL,
	SEEN_EVENTS,
};

BPF_PERCPU_ARRAY(seen, u64, SEEN_EVENTS);

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

/*
 * Add to a counter, as a map's lookup_or_try_init() gave it; without one the map
 * was full. Atomic, although the counter is this CPU's own: the program of a raw
 * tracepoint may interrupt another.
 */
static __always_inline void add(u64 *count, u64 amount, u32 cause)
{
	if (count)
		__sync_fetch_and_add(count, amount);
	else
		drop(cause);
}

/* What a raw tracepoint passes: the arguments of the kernel's own trace_NAME(). */
struct raw_tracepoint {
	u64 args[0];
};

/* What is told one by one; events.py has the numbers. Each begins with its type. */
enum event {
	EVENT_DEATH,
	EVENT_PLACEMENT,
	EVENT_CGROUP,
};

BPF_RINGBUF_OUTPUT(events, SIZE_EVENTS);

/* When the reader was last woken. */
BPF_ARRAY(woken, u64, 1);

/* include/uapi/linux/bpf.h */
#define BPF_RB_NO_WAKEUP	1
#define BPF_RB_FORCE_WAKEUP	2

#define WAKE_NS	50000000ULL

/*
 * For what can wait: to wake the reader at each record costs more than all else on
 * the path of an exit. The ring has room for what can happen in between; the last
 * records wait until the reader looks by itself, or is asked.
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

/* A member of a kernel structure, by its offset. */
#define READ_MEMBER(value, base, offset) \
	bpf_probe_read_kernel(&(value), sizeof(value), (void *)(base) + (offset))
