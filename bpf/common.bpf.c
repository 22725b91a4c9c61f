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
	DROP_CAUSES,
};

BPF_PERCPU_ARRAY(drops, u64, DROP_CAUSES);

static __always_inline void drop(u32 cause)
{
	u64 *count = drops.lookup(&cause);

	if (count)
		(*count)++;
}

/*
 * Add to a counter, as a map's lookup_or_try_init() gave it; without one the map
 * was full. A program is not interrupted by another on its CPU (the kernel skips
 * the second and counts it as a miss of that program), so += is enough.
 */
static __always_inline void add(u64 *count, u64 amount, u32 cause)
{
	if (count)
		*count += amount;
	else
		drop(cause);
}

/* What a raw tracepoint passes: the arguments of the kernel's own trace_NAME(). */
struct raw_tracepoint {
	u64 args[0];
};

#define BIT(n)	(1ULL << (n))

/* The n of (2^n, 2^(n+1)] that holds the value: bounds of buckets are inclusive. */
static __always_inline u32 slot_of(u64 ns)
{
	return ns > 1 ? bpf_log2l(ns - 1) - 1 : 0;
}

/* A member of a kernel structure, by its offset. */
#define READ_MEMBER(value, base, offset) \
	bpf_probe_read_kernel(&(value), sizeof(value), (void *)(base) + (offset))
