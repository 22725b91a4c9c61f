// SPDX-License-Identifier: GPL-2.0
/*
 * How long the dead wait for their parents. A zombie's task is freed an RCU grace
 * period after it was reaped, in whatever way: by wait(2), by itself, by a tracer.
 */
struct zombie {
	u64 end_ns;
	u32 group;	/* of the parent that it died under */
	u32 pad;
};

/* By the address of the task, which nothing else has until it is freed. */
BPF_HASH(zombies, u64, struct zombie, SIZE_ZOMBIES);

/* A task at an address that is known: the last one there was freed unseen. */
static __always_inline void count_unseen(u64 task)
{
	struct zombie *last = zombies.lookup(&task);

	if (last)
		count_life(last->group, LIFE_REAPED_UNSEEN);
}

static __always_inline void remember_zombie(void *leader, struct death *death)
{
	u64 task = (u64)leader;
	struct zombie zombie = {
		.end_ns = death->end_ns,
		.group = membership_of(death->ppid, &death->parent_comm).group,
	};

	count_unseen(task);
	if (zombies.update(&task, &zombie))
		drop(DROP_ZOMBIES_FULL);
}

/*
 * On the raw tracepoint, as RCU frees tasks in interrupts.
 * The argument: struct task_struct *p.
 */
int sched_process_free(struct raw_tracepoint *ctx)
{
	u64 task = ctx->args[0];
	struct zombie *zombie = zombies.lookup(&task);

	if (!zombie)
		return 0;
	count_time(zombie->group, LIFE_REAP_DELAY, bpf_ktime_get_boot_ns() - zombie->end_ns);
	zombies.delete(&task);
	return 0;
}
