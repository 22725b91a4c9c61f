// SPDX-License-Identifier: GPL-2.0
/*
 * Why a process died: of each process the last signal that could have ended it, and
 * its death, told one by one over a ring.
 */
#define SIGHUP		1
#define SIGINT		2
#define SIGQUIT		3
#define SIGKILL		9
#define SIGTERM		15
#define SIGCHLD		17
#define SIGCONT		18
#define SIGSTOP		19
#define SIGTSTP		20
#define SIGTTIN		21
#define SIGTTOU		22
#define SIGURG		23
#define SIGWINCH	28

/* Whoever has not ended an hour after a SIGTERM was not shut down by it. */
#define SHUTDOWN_NS	3600000000000ULL

#ifndef MARK_VICTIM_HAS_TASK
/* Processes by the thread that the kernel has just sent SIGKILL, if not to the main one. */
BPF_TABLE("lru_hash", u32, u32, killed_threads, SIZE_KILLED_THREADS);
#endif

/* By default these stop, continue or do nothing. */
static __always_inline bool is_harmless(u32 signal)
{
	const u64 harmless = BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGSTOP) |
			     BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU) |
			     BIT(SIGURG) | BIT(SIGWINCH);

	return signal < 64 && harmless & BIT(signal);
}

/* Programs take these to leave by themselves. */
static __always_inline bool asks_to_end(u32 signal)
{
	return signal == SIGTERM || signal == SIGINT || signal == SIGHUP ||
	       signal == SIGQUIT || signal == SIGKILL;
}

/* A shutdown begins with the first SIGTERM of the last hour. */
static __always_inline void remember_term(struct process *process, u64 now, bool is_ignored)
{
	if (process->blame.signal == SIGKILL)
		return;
	if (process->term_ns && now - process->term_ns <= SHUTDOWN_NS &&
	    (is_ignored || !process->is_term_ignored))
		return;
	process->term_ns = now;
	process->is_term_ignored = is_ignored;
}

/* The kernel holds the target's siglock: one writer at a time. */
static __always_inline void remember_blame(struct process *process, u32 signal, u32 origin)
{
	struct blame *blame = &process->blame;
	u64 now = bpf_ktime_get_boot_ns();

	/* Nothing that comes after SIGKILL has a say. */
	if (blame->signal == SIGKILL)
		return;
	if (signal == SIGTERM)
		remember_term(process, now, false);
	blame->time_ns = now;
	blame->signal = signal;
	blame->origin = origin;
	blame->sender = current_tgid();
	blame->sender_uid = bpf_get_current_uid_gid();
	READ_MEMBER(blame->sender_comm, current_leader(), OFF_TASK_COMM);
}

static __always_inline void count_lives(struct death *death, struct process *process)
{
	struct process_lifetime_seconds_key lifetime = { .group = death->group };
	struct shutdown_escalations_key escalation = { .group = death->group };
	struct shutdown_seconds_key shutdown = { .group = death->group };
	struct oom_kills_key oom = { .group = death->group };

	observe_process_lifetime_seconds(&lifetime, death->end_ns - death->start_ns);
	if (death->term_ns) {
		if (!process || !process->is_term_ignored)
			observe_shutdown_seconds(&shutdown, death->end_ns - death->term_ns);
		if ((death->status & 0x7f) == SIGKILL)
			count_shutdown_escalations(&escalation, 1);
	}
	if (death->is_oom_victim)
		count_oom_kills(&oom, 1);
}

/* What the record of the process tells; signals of an earlier life of this PID do not count. */
static __always_inline void fill_from_record(struct death *death, struct process *process)
{
	death->group = settled_group(death->pid, process);
	if (process->term_ns >= death->start_ns && death->end_ns - process->term_ns <= SHUTDOWN_NS)
		death->term_ns = process->term_ns;
	if (process->blame.time_ns >= death->start_ns)
		death->blame = process->blame;
	death->is_oom_victim = process->is_oom_victim && (death->status & 0x7f) == SIGKILL;
}

/* The current task is the last of its process; the status is in it already. */
static __always_inline void fill_death(struct death *death, void *leader, u32 tgid)
{
	death->type = EVENT_DEATH;
	death->pid = tgid;
	death->end_ns = bpf_ktime_get_boot_ns();
	READ_MEMBER(death->start_ns, leader, OFF_TASK_START_BOOTTIME);
	READ_MEMBER(death->comm, leader, OFF_TASK_COMM);
	death->uid = bpf_get_current_uid_gid();
	death->cgroup_id = bpf_get_current_cgroup_id();
}

static __always_inline void tell_death(struct death *death)
{
	if (events.ringbuf_output(death, sizeof(*death), wake_now_and_then(death->end_ns)))
		degrade(DEGRADED_DEATHS);
}

static __always_inline void mark_oom_victim(u32 tgid)
{
	struct process *process = processes.lookup(&tgid);

	if (process)
		process->is_oom_victim = 1;
}

/*
 * The argument: struct task_struct *task, before Linux 6.9 its id. The OOM killer may
 * mark any thread of the process; it has sent SIGKILL to the same one right before.
 */
int mark_victim(struct raw_tracepoint *ctx)
{
	u32 tgid = 0;
#ifdef MARK_VICTIM_HAS_TASK
	READ_MEMBER(tgid, ctx->args[0], OFF_TASK_TGID);
#else
	u32 tid = ctx->args[0], *process = killed_threads.lookup(&tid);

	tgid = process ? *process : tid;
#endif
	mark_oom_victim(tgid);
	return 0;
}
