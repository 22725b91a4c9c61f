// SPDX-License-Identifier: GPL-2.0
/*
 * How long signals wait between generation and delivery. The kernel holds the
 * target's siglock at both, so an entry has one writer at a time.
 */
#define SIGRTMIN	32	/* the kernel's: the C library keeps two */

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

/*
 * When each was generated, but for the standard signal that waits alone: that is in the
 * record of its process. A signal can be taken in ways that no probe sees, and a process
 * can die with signals pending: hence the kernel forgets the oldest here.
 */
BPF_TABLE("lru_hash", struct pending_key, u64, generated, SIZE_GENERATED);
BPF_TABLE("lru_hash", struct pending_key, struct rt_queue, rt_queues, SIZE_RT_QUEUES);

static __always_inline u8 class_of(u32 signal)
{
	return signal < SIGRTMIN ? CLASS_STANDARD : CLASS_REALTIME;
}

static __always_inline void count_unmatched(u32 signal, u8 reason, u64 amount)
{
	struct signal_delivery_unmatched_key key = {
		.kind = class_of(signal),
		.reason = reason,
	};

	count_signal_delivery_unmatched(&key, amount);
}

static __always_inline bool is_in_record(struct process *process, struct pending_key *key)
{
	return process->waiting_ns && process->waiting_signal == key->signal &&
	       process->waiting_id == key->id && process->waiting_is_shared == key->is_shared;
}

/*
 * Of a standard signal, in the record; false where it has to go to the map, as another is
 * in the record, or the map may have this one.
 */
static __always_inline bool remember_in_record(struct process *process, struct pending_key *key,
					       u64 now)
{
	if (is_in_record(process, key)) {
		/* It is new, so the last one is not pending any more. */
		count_unmatched(key->signal, UNMATCHED_UNDELIVERED, 1);
	} else if (process->waiting_ns || process->waiting_others) {
		return false;
	}
	process->waiting_ns = now;
	process->waiting_id = key->id;
	process->waiting_signal = key->signal;
	process->waiting_is_shared = key->is_shared;
	return true;
}

static __always_inline void remember_generated(struct process *process, u32 id, u32 signal,
					       bool is_shared)
{
	struct pending_key key = { .id = id, .signal = signal, .is_shared = is_shared };
	bool is_standard = class_of(signal) == CLASS_STANDARD;
	u64 now = bpf_ktime_get_boot_ns(), *since;
	struct rt_queue empty = {}, *queue;

	if (is_standard && remember_in_record(process, &key, now))
		return;
	if (!is_standard) {
		queue = rt_queues.lookup_or_try_init(&key, &empty);
		if (!queue)
			return;
		key.number = queue->tail++;
	}
	if (!generated.insert(&key, &now)) {
		process->waiting_others += is_standard;
		return;
	}
	since = generated.lookup(&key);
	if (!since)
		return;
	/* As above. */
	count_unmatched(signal, UNMATCHED_UNDELIVERED, 1);
	*since = now;
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
	count_unmatched(key->signal, UNMATCHED_UNDELIVERED, left);
}

/*
 * When that signal of the current task was generated; it waits no more. 0 if that was
 * not seen, or belongs to another process that had this id before.
 */
static __always_inline u64 take_generated(struct process *process, u32 id, u32 signal,
					  bool is_shared, u64 start_ns)
{
	struct pending_key key = { .id = id, .signal = signal, .is_shared = is_shared };
	bool is_standard = class_of(signal) == CLASS_STANDARD;
	void *task = (void *)bpf_get_current_task();
	struct rt_queue *queue;
	u64 *since, ns;

	if (is_standard && process) {
		if (is_in_record(process, &key)) {
			ns = process->waiting_ns;
			process->waiting_ns = 0;
			return ns;
		}
		if (!process->waiting_others)
			return 0;
	}
	if (!is_standard) {
		struct pending_key queue_key = key;

		queue = rt_queues.lookup(&key);
		if (!queue || queue->head == queue->tail)
			return 0;
		key.number = queue->head++;
		settle_queue(task, queue, &queue_key);
	}
	since = generated.lookup(&key);
	if (!since)
		return 0;
	ns = *since;
	generated.delete(&key);
	if (ns < start_ns)
		return 0;
	if (is_standard && process)
		process->waiting_others--;
	return ns;
}

/* A thread's own signals are delivered before those of its process. */
static __always_inline u64 take_any(struct process *process, u32 signal, u64 start_ns)
{
	u64 id = bpf_get_current_pid_tgid();
	u64 ns = take_generated(process, id, signal, false, start_ns);

	return ns ? ns : take_generated(process, id >> 32, signal, true, start_ns);
}

/* A signal is delivered to the current task, whose process has that record or none. */
static __always_inline void match_delivered(u32 signal, struct process *process)
{
	struct signal_delivery_seconds_key waited = {};
	u64 start_ns = 0, ns;
	u32 blamed;

	if (process)
		start_ns = process->start_ns;
	else
		READ_MEMBER(start_ns, current_leader(), OFF_TASK_START_BOOTTIME);
	ns = take_any(process, signal, start_ns);
	waited.kind = class_of(signal);
	if (!ns && signal == SIGKILL) {
		/* A signal that ends a process is delivered as SIGKILL, to each of its threads. */
		blamed = process ? process->blame.signal : 0;
		if (blamed && blamed != SIGKILL)
			ns = take_any(process, blamed, start_ns);
		waited.kind = class_of(blamed);
	}
	if (ns)
		observe_signal_delivery_seconds(&waited, bpf_ktime_get_boot_ns() - ns);
	else
		count_unmatched(signal, signal == SIGKILL ? UNMATCHED_GROUP_EXIT : UNMATCHED_UNSEEN, 1);
}
