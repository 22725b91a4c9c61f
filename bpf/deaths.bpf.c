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

/* decode.py has the layouts of both. */
struct blame {
	u64 time_ns;	/* on the boot clock, as all times here */
	u64 term_ns;	/* of the first SIGTERM, 0 without one */
	u32 signal;	/* 0 for none */
	u32 origin;
	u32 sender;	/* the process that ran; the sender where the code says user */
	u32 sender_uid;
	u32 sender_flags;
	u32 pad;
	struct comm sender_comm;
};

struct death {
	u32 type;
	u32 pid;
	u64 start_ns;
	u64 end_ns;
	u64 cgroup_id;
	u32 ppid;
	u32 uid;
	u32 group;
	u32 status;	/* as wait(2) has it */
	u32 is_oom_victim;
	u32 pad;
	struct comm comm;
	struct comm parent_comm;
	struct blame blame;
};

/* What lives are counted by; decode.py has the numbers. A time's sum is next to it. */
enum life {
	LIFE_LIFETIME,		/* by slot */
	LIFE_LIFETIME_NS,
	LIFE_SHUTDOWN,		/* from the first SIGTERM to the exit, by slot */
	LIFE_SHUTDOWN_NS,
	LIFE_ESCALATIONS,	/* ended by SIGKILL after SIGTERM */
	LIFE_OOM_KILLS,
	LIFE_REAP_DELAY,	/* from the death until the kernel forgets it, by slot */
	LIFE_REAP_DELAY_NS,
	LIFE_REAPED_UNSEEN,	/* by the group of the parent, these three */
};

struct lives_key {
	u32 group;
	u16 life;
	u16 slot;
};

BPF_TABLE("percpu_hash", struct lives_key, u64, lives, SIZE_LIVES);
/* By process. An entry goes with its process. */
BPF_HASH(blames, u32, struct blame, SIZE_BLAMES);
BPF_TABLE("lru_hash", u32, u8, oom_victims, SIZE_OOM_VICTIMS);

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

static __always_inline void remember_blame(u32 tgid, u32 signal, u32 origin)
{
	struct blame blame = {};
	struct blame *known;

	known = blames.lookup(&tgid);
	/* Nothing that comes after SIGKILL has a say. */
	if (known && known->signal == SIGKILL)
		return;
	blame.time_ns = bpf_ktime_get_boot_ns();
	if (known)
		blame.term_ns = known->term_ns;
	if (signal == SIGTERM && !blame.term_ns)
		blame.term_ns = blame.time_ns;
	blame.signal = signal;
	blame.origin = origin;
	blame.sender = bpf_get_current_pid_tgid() >> 32;
	blame.sender_uid = bpf_get_current_uid_gid();
	READ_MEMBER(blame.sender_flags, bpf_get_current_task(), OFF_TASK_FLAGS);
	bpf_get_current_comm(&blame.sender_comm, sizeof(blame.sender_comm));
	if (blames.update(&tgid, &blame))
		drop(DROP_BLAMES_FULL);
}

int mark_victim(struct tracepoint__oom__mark_victim *args)
{
	u32 pid = args->pid;
	u8 one = 1;

	oom_victims.update(&pid, &one);
	return 0;
}

/* Ignored, it ends nobody; that SIGKILL has to come after it counts all the same. */
static __always_inline void remember_ignored_term(u32 tgid)
{
	struct blame *known = blames.lookup(&tgid);
	struct blame blame = {};

	if (known)
		blame = *known;
	if (blame.term_ns || blame.signal == SIGKILL)
		return;
	blame.term_ns = bpf_ktime_get_boot_ns();
	if (blames.update(&tgid, &blame))
		drop(DROP_BLAMES_FULL);
}

static __always_inline void count_life(u32 group, u16 life)
{
	struct lives_key key = { .group = group, .life = life };
	u64 zero = 0;

	add(lives.lookup_or_try_init(&key, &zero), 1, DROP_LIVES_FULL);
}

/* The slot and the sum, or neither: what is dropped is one time. */
static __always_inline void count_time(u32 group, u16 life, u64 ns)
{
	struct lives_key key = { .group = group, .life = life, .slot = slot_of(ns) };
	struct lives_key sum_key = { .group = group, .life = life + 1 };
	u64 *count, *sum, zero = 0;

	count = lives.lookup_or_try_init(&key, &zero);
	sum = lives.lookup_or_try_init(&sum_key, &zero);
	if (count && sum) {
		*count += 1;
		*sum += ns;
	} else {
		drop(DROP_LIVES_FULL);
	}
}

static __always_inline void count_lives(struct death *death)
{
	u64 term_ns = death->blame.term_ns;

	count_time(death->group, LIFE_LIFETIME, death->end_ns - death->start_ns);
	if (term_ns) {
		count_time(death->group, LIFE_SHUTDOWN, death->end_ns - term_ns);
		if ((death->status & 0x7f) == SIGKILL)
			count_life(death->group, LIFE_ESCALATIONS);
	}
	if (death->is_oom_victim)
		count_life(death->group, LIFE_OOM_KILLS);
}

/* The current task is the last of its process; group and status are in it already. */
static __always_inline void fill_death(struct death *death, void *leader, u32 tgid)
{
	struct blame *blame = blames.lookup(&tgid);
	void *parent = NULL;

	death->end_ns = bpf_ktime_get_boot_ns();
	READ_MEMBER(death->start_ns, leader, OFF_TASK_START_BOOTTIME);
	READ_MEMBER(death->comm, leader, OFF_TASK_COMM);
	READ_MEMBER(parent, leader, OFF_TASK_REAL_PARENT);
	READ_MEMBER(death->ppid, parent, OFF_TASK_TGID);
	READ_MEMBER(death->parent_comm, parent, OFF_TASK_COMM);
	death->type = EVENT_DEATH;
	death->pid = tgid;
	death->uid = bpf_get_current_uid_gid();
	death->cgroup_id = bpf_get_current_cgroup_id();
	if ((death->status & 0x7f) == SIGKILL)
		death->is_oom_victim = !oom_victims.delete(&tgid);
	if (blame) {
		death->blame = *blame;
		blames.delete(&tgid);
	}
}

static __always_inline void tell_death(struct death *death)
{
	if (events.ringbuf_output(death, sizeof(*death), wake_now_and_then(death->end_ns)))
		drop(DROP_DEATHS_FULL);
}
