// SPDX-License-Identifier: GPL-2.0
/*
 * How long signals wait between generation and delivery. The kernel holds the
 * target's siglock at both, so an entry has one writer at a time.
 */
#define SIGRTMIN	32	/* the kernel's: the C library keeps two */

/* decode.py has the names of all three, in this order. */
enum signal_class { CLASS_STANDARD, CLASS_REALTIME };

enum delivery_count {
	DELIVERY_MATCHED,	/* by slot */
	DELIVERY_MATCHED_NS,
	DELIVERY_UNMATCHED,	/* by reason, in the slot's place */
};

enum unmatched {
	UNMATCHED_UNSEEN,	/* delivered, not seen generated (or forgotten, or its info lost) */
	UNMATCHED_GROUP_EXIT,	/* the SIGKILL by which the kernel ends a process's other threads */
	UNMATCHED_UNDELIVERED,	/* generated, then taken by sigwait(2), signalfd(2), or flushed */
};

struct delivery_key {
	u8 class;
	u8 count;
	u16 slot;
};

/* A process's signals and a thread's own wait apart. */
struct pending_key {
	u32 id;
	u16 signal;
	u16 is_shared;
	u32 number;	/* real-time signals queue up */
};

struct rt_queue {
	u32 head;	/* number of the next to be delivered */
	u32 tail;	/* number of the next to be generated */
};

BPF_TABLE("percpu_hash", struct delivery_key, u64, delivery, SIZE_DELIVERY);
/*
 * When each was generated. A signal can be taken in ways that no probe sees, and a
 * process can die with signals pending: hence the kernel forgets the oldest here.
 */
BPF_TABLE("lru_hash", struct pending_key, u64, generated, SIZE_GENERATED);
BPF_TABLE("lru_hash", struct pending_key, struct rt_queue, rt_queues, SIZE_RT_QUEUES);

static __always_inline u8 class_of(u32 signal)
{
	return signal < SIGRTMIN ? CLASS_STANDARD : CLASS_REALTIME;
}

static __always_inline void count_delivery(u32 signal, u8 count, u16 slot, u64 amount)
{
	struct delivery_key key = { .class = class_of(signal), .count = count, .slot = slot };
	u64 zero = 0;

	add(delivery.lookup_or_try_init(&key, &zero), amount, DROP_DELIVERY_FULL);
}

static __always_inline void remember_generated(u32 id, u32 signal, bool is_shared)
{
	struct pending_key key = { .id = id, .signal = signal, .is_shared = is_shared };
	u64 now = bpf_ktime_get_boot_ns(), *since;
	struct rt_queue empty = {}, *queue;

	if (class_of(signal) == CLASS_REALTIME) {
		queue = rt_queues.lookup_or_try_init(&key, &empty);
		if (!queue)
			return;
		key.number = queue->tail++;
	}
	since = generated.lookup(&key);
	if (since) {
		/* It is new, so the last one is not pending any more. */
		count_delivery(signal, DELIVERY_UNMATCHED, UNMATCHED_UNDELIVERED, 1);
		*since = now;
	} else {
		generated.update(&key, &now);
	}
}

/* The real-time signals that are no longer pending were not delivered. */
static __always_inline void settle_queue(void *task, struct rt_queue *queue,
					 struct pending_key *key)
{
	void *set = task + OFF_TASK_PENDING, *signal = NULL;
	u32 left = queue->tail - queue->head;
	u64 pending = 0;

	if (!left)
		return;
	if (key->is_shared) {
		READ_MEMBER(signal, task, OFF_TASK_SIGNAL);
		set = signal + OFF_SIGNAL_SHARED_PENDING;
	}
	READ_MEMBER(pending, set, OFF_SIGPENDING_SIGNAL);
	if (pending & BIT(key->signal - 1))
		return;
	queue->head = queue->tail;
	count_delivery(key->signal, DELIVERY_UNMATCHED, UNMATCHED_UNDELIVERED, left);
}

/* Whether the current task had that signal waiting; counts how long it did. */
static __always_inline bool match_generated(u32 id, u32 signal, bool is_shared)
{
	struct pending_key key = { .id = id, .signal = signal, .is_shared = is_shared };
	void *task = (void *)bpf_get_current_task(), *leader = NULL;
	u64 *since, ns, start = 0;
	struct rt_queue *queue;

	if (class_of(signal) == CLASS_REALTIME) {
		struct pending_key queue_key = key;

		queue = rt_queues.lookup(&key);
		if (!queue || queue->head == queue->tail)
			return false;
		key.number = queue->head++;
		settle_queue(task, queue, &queue_key);
	}
	since = generated.lookup(&key);
	if (!since)
		return false;
	ns = *since;
	generated.delete(&key);
	/* Of another process that had this id before. */
	READ_MEMBER(leader, task, OFF_TASK_GROUP_LEADER);
	READ_MEMBER(start, leader, OFF_TASK_START_BOOTTIME);
	if (ns < start)
		return false;
	ns = bpf_ktime_get_boot_ns() - ns;
	count_delivery(signal, DELIVERY_MATCHED, slot_of(ns), 1);
	count_delivery(signal, DELIVERY_MATCHED_NS, 0, ns);
	return true;
}

/* A thread's own signals are delivered before those of its process. */
static __always_inline bool match_any(u32 signal)
{
	u64 id = bpf_get_current_pid_tgid();

	return match_generated(id, signal, false) || match_generated(id >> 32, signal, true);
}

static __always_inline void match_delivered(u32 signal)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct blame *blame;

	if (match_any(signal))
		return;
	if (signal != SIGKILL) {
		count_delivery(signal, DELIVERY_UNMATCHED, UNMATCHED_UNSEEN, 1);
		return;
	}
	/* A signal that ends a process is delivered as SIGKILL, to each of its threads. */
	blame = blames.lookup(&tgid);
	if (blame && blame->signal != SIGKILL && match_any(blame->signal))
		return;
	count_delivery(signal, DELIVERY_UNMATCHED, UNMATCHED_GROUP_EXIT, 1);
}
