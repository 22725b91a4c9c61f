// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(2): what a PID is, in one call.
 *
 * A record is made in two steps. What may be told and what has to be read of the
 * task is taken in one look, which neither sleeps nor allocates; it leaves
 * references to paths, files and memory. What these lead to (strings, lists,
 * everything that goes into the caller's buffer) is written after that, when
 * nothing of the task is locked any more.
 */
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/ipc_namespace.h>
#include <linux/kdev_t.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mnt_namespace.h>
#include <linux/nsproxy.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_info.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/proc_ns.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/time_namespace.h>
#include <linux/timekeeping.h>
#include <linux/tty.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <uapi/linux/pid_info.h>

/* Fields that /proc shows only to who may read the task's memory. */
#define PID_INFO_READ	(PID_INFO_IO | PID_INFO_EXIT | PID_INFO_STACK | \
			 PID_INFO_ROOT | PID_INFO_CWD | PID_INFO_EXE | \
			 PID_INFO_BLOCKIO | PID_INFO_NAMESPACES | \
			 PID_INFO_FILES)

/* Fields that /proc shows only to who may attach to the task. */
#define PID_INFO_ATTACH	PID_INFO_SP

/* All that an mm tells. */
#define PID_INFO_MM	(PID_INFO_MEM | PID_INFO_STACK | PID_INFO_EXE | \
			 PID_INFO_CMDLINE | PID_INFO_MEMSTAT)

#define PID_INFO_SUMS	(PID_INFO_SWITCHES | PID_INFO_FAULTS | \
			 PID_INFO_IO | PID_INFO_BLOCKIO)

/* Everything up to the end of the structure's first version, and all. */
#define PID_INFO_VER0	(PID_INFO_CWD * 2 - 1)
#define PID_INFO_VER1	(PID_INFO_LIMITS * 2 - 1)

#define PID_INFO_FLAGS	(PID_INFO_THREAD | PID_INFO_PIDFD | PID_INFO_MANY)

/* Longest path that is told. */
#define PID_INFO_PATH_MAX	SZ_64K

/* Children that are looked at without letting go of tasklist_lock. */
#define PID_INFO_BATCH		32

#ifndef PF_USER_WORKER
#define PF_USER_WORKER	PF_IO_WORKER	/* the only ones before 6.4 */
#endif

#ifndef kmalloc_obj	/* before 7.0 */
#define kmalloc_obj(object, gfp)	kmalloc(sizeof(object), gfp)
#endif

/* One call: what was asked, and the record that is being made. */
struct pid_info_call {
	struct pid_namespace *ns;
	unsigned int flags;
	size_t usize;		/* of the caller's structure */
	u64 supported;

	/* As the caller's structure has them. */
	u64 wanted;
	u64 buffer;
	u64 match_inode;
	u64 match_start_ns;
	u32 buffer_size;
	u32 string_max;
	s32 cursor;

	/* Where strings and lists go, counted from @base. */
	char __user *base;
	u32 room;
	u64 used;

	/* References that the look leaves. */
	struct mm_struct *mm;
	struct file *exe;
	struct path root;
	struct path cwd;

	struct pid_info info;
};

/*
 * Permission
 */

/*
 * What the setting of each PID namespace from the caller's up hides of @task from
 * the caller: 0 nothing, 1 all but that it exists, 2 that, too.
 */
static int pid_info_hides(struct task_struct *task, struct pid_namespace *ns)
{
	int hides = 0;

	for (; ns; ns = ns->parent) {
		int here = READ_ONCE(ns->pid_info_hidepid);

		if (here > hides && !in_group_p(READ_ONCE(ns->pid_info_gid)))
			hides = here;
	}
	if (hides && ptrace_may_access(task, PTRACE_MODE_READ_FSCREDS |
				       PTRACE_MODE_NOAUDIT))
		return 0;
	return hides;
}

/*
 * Leave in @info->filled what the caller may have of what it wants. The reading
 * and the attaching are asked apart, as security modules decide them apart.
 */
static int pid_info_permit(struct pid_info_call *call, struct task_struct *task)
{
	struct pid_info *info = &call->info;
	u64 denied = 0;
	int ret;

	switch (pid_info_hides(task, call->ns)) {
	case 1:
		return -EPERM;
	case 2:
		return -ESRCH;
	}
	ret = security_task_getinfo(task);
	if (ret)
		return ret;

	info->filled = (call->wanted | PID_INFO_IDENT) & call->supported;
	if ((info->filled & PID_INFO_READ) &&
	    !ptrace_may_access(task, PTRACE_MODE_READ_FSCREDS |
			       PTRACE_MODE_NOAUDIT))
		denied |= PID_INFO_READ;
	if ((info->filled & PID_INFO_ATTACH) &&
	    !ptrace_may_access(task, PTRACE_MODE_ATTACH_FSCREDS |
			       PTRACE_MODE_NOAUDIT))
		denied |= PID_INFO_ATTACH;
	if ((info->filled & PID_INFO_PGRP) && security_task_getpgid(task))
		denied |= PID_INFO_PGRP;
	if ((info->filled & PID_INFO_SESSION) && security_task_getsid(task))
		denied |= PID_INFO_SESSION;
	if ((info->filled & (PID_INFO_SCHED | PID_INFO_CPU)) &&
	    security_task_getscheduler(task))
		denied |= PID_INFO_SCHED | PID_INFO_CPU;

	info->denied = info->filled & denied;
	info->filled &= ~denied;
	return 0;
}

/*
 * The look at the task: nothing here sleeps or allocates
 */

static u64 pid_info_sigset(const sigset_t *set)
{
	u64 bits = set->sig[0];

	BUILD_BUG_ON(_NSIG > 64);
	if (_NSIG_WORDS > 1)
		bits |= (u64)set->sig[_NSIG_WORDS - 1] << 32;
	return bits;
}

static void pid_info_signals(struct pid_info *info, struct task_struct *task)
{
	sigset_t ignored, caught;

	sigemptyset(&ignored);
	sigemptyset(&caught);
	proc_collect_sigign_sigcatch(task, &ignored, &caught);
	info->sig_pending = pid_info_sigset(&task->pending.signal);
	info->sig_shared_pending =
		pid_info_sigset(&task->signal->shared_pending.signal);
	info->sig_blocked = pid_info_sigset(&task->blocked);
	info->sig_ignored = pid_info_sigset(&ignored);
	info->sig_caught = pid_info_sigset(&caught);
	rcu_read_lock();
	info->sigq_len = get_rlimit_value(task_ucounts(task),
					  UCOUNT_RLIMIT_SIGPENDING);
	rcu_read_unlock();
	info->sigq_limit = task_rlimit(task, RLIMIT_SIGPENDING);
}

/*
 * The status is there once the whole process is dead: of a main thread that has
 * ended before the others it is not that of the process.
 */
static void pid_info_exit(struct pid_info *info, struct task_struct *task)
{
	if (task->exit_state != EXIT_ZOMBIE || delay_group_leader(task))
		info->filled &= ~PID_INFO_EXIT;
	else if (task->signal->flags & SIGNAL_GROUP_EXIT)
		info->exit_code = task->signal->group_exit_code;
	else
		info->exit_code = task->exit_code;
}

static void pid_info_tty(struct pid_info *info, struct task_struct *task,
			 struct pid_namespace *ns)
{
	struct tty_struct *tty = task->signal->tty;
	struct pid *pgrp;

	info->tpgid = -1;
	if (!tty)
		return;
	pgrp = tty_get_pgrp(tty);
	info->tpgid = pid_nr_ns(pgrp, ns);
	put_pid(pgrp);
	info->tty = new_encode_dev(tty_devnum(tty));
}

static void pid_info_children_times(struct pid_info *info,
				    const struct signal_struct *signal)
{
	info->cutime_ns = signal->cutime;
	info->cstime_ns = signal->cstime;
	info->cmin_flt = signal->cmin_flt;
	info->cmaj_flt = signal->cmaj_flt;
}

static void pid_info_limits(struct pid_info *info, struct task_struct *task)
{
	unsigned int i;

	BUILD_BUG_ON(RLIM_NLIMITS != PID_INFO_LIMITS_LEN);
	for (i = 0; i < RLIM_NLIMITS; i++) {
		unsigned long soft = task_rlimit(task, i);
		unsigned long hard = task_rlimit_max(task, i);

		info->limits[i].soft = soft == RLIM_INFINITY ? U64_MAX : soft;
		info->limits[i].hard = hard == RLIM_INFINITY ? U64_MAX : hard;
	}
}

static u64 pid_info_inode_of(const struct pid *pid)
{
#ifdef PID_INFO_HAS_INODE
	return pid_info_inode(pid);
#else
	return 0;
#endif
}

/*
 * Identity, relatives and signals: one moment's view, under one lock. -EAGAIN when
 * @nr is not @task's any more: it is dead, or a thread that called execve(2) has
 * taken the id of its leader.
 */
static int pid_info_locked(struct pid_info_call *call, struct task_struct *task,
			   pid_t nr)
{
	struct pid_info *info = &call->info;
	struct pid_namespace *ns = call->ns;
	struct task_struct *tracer;
	unsigned long flags;
	struct pid *pid;
	u64 inode;

	if (!lock_task_sighand(task, &flags))
		return -EAGAIN;

	/* Nobody detaches the pids under the siglock, but they may be exchanged. */
	rcu_read_lock();
	pid = READ_ONCE(task->thread_pid);
	info->pid = pid_nr_ns(pid, ns);
	info->tgid = pid_nr_ns(task_tgid(task), ns);
	info->ppid = task_tgid_nr_ns(rcu_dereference(task->real_parent), ns);
	if (info->filled & PID_INFO_PGRP)
		info->pgid = task_pgrp_nr_ns(task, ns);
	if (info->filled & PID_INFO_SESSION)
		info->sid = task_session_nr_ns(task, ns);
	inode = pid_info_inode_of(pid);
	if (info->filled & PID_INFO_INODE)
		info->inode = inode;
	if (info->filled & PID_INFO_TRACER) {
		tracer = ptrace_parent(task);
		info->tracer_pid = tracer ? task_pid_nr_ns(tracer, ns) : 0;
	}
	rcu_read_unlock();

	info->state = task_state_to_char(task);
	info->num_threads = get_nr_threads(task);
	info->exit_signal = task->exit_signal;
	if (info->filled & PID_INFO_SIGNALS)
		pid_info_signals(info, task);
	if (info->filled & PID_INFO_EXIT)
		pid_info_exit(info, task);
	if (info->filled & PID_INFO_TTY)
		pid_info_tty(info, task, ns);
	if (info->filled & PID_INFO_CTIMES)
		pid_info_children_times(info, task->signal);
	if (info->filled & PID_INFO_LIMITS)
		pid_info_limits(info, task);
	unlock_task_sighand(task, &flags);

	if (info->pid != nr)
		return -EAGAIN;
	return call->match_inode && call->match_inode != inode ? -ESRCH : 0;
}

static u64 pid_info_capabilities(kernel_cap_t set)
{
	u64 bits = 0;
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap_raised(set, cap))
			bits |= BIT_ULL(cap);
	return bits;
}

static void pid_info_creds(struct pid_info *info, struct task_struct *task)
{
	struct user_namespace *ns = current_user_ns();
	const struct cred *cred;

	rcu_read_lock();
	cred = __task_cred(task);
	if (info->filled & PID_INFO_CREDS) {
		info->uid = from_kuid_munged(ns, cred->uid);
		info->euid = from_kuid_munged(ns, cred->euid);
		info->suid = from_kuid_munged(ns, cred->suid);
		info->fsuid = from_kuid_munged(ns, cred->fsuid);
		info->gid = from_kgid_munged(ns, cred->gid);
		info->egid = from_kgid_munged(ns, cred->egid);
		info->sgid = from_kgid_munged(ns, cred->sgid);
		info->fsgid = from_kgid_munged(ns, cred->fsgid);
	}
	if (info->filled & PID_INFO_CAPS) {
		info->cap_inheritable =
			pid_info_capabilities(cred->cap_inheritable);
		info->cap_permitted = pid_info_capabilities(cred->cap_permitted);
		info->cap_effective = pid_info_capabilities(cred->cap_effective);
		info->cap_bounding = pid_info_capabilities(cred->cap_bset);
		info->cap_ambient = pid_info_capabilities(cred->cap_ambient);
		info->securebits = cred->securebits;
	}
	if (info->filled & PID_INFO_NAMESPACES)
		info->ns_user = cred->user_ns->ns.inum;
	rcu_read_unlock();
}

static void pid_info_seccomp(struct pid_info *info, struct task_struct *task)
{
	info->no_new_privs = task_no_new_privs(task);
#ifdef CONFIG_SECCOMP
	info->seccomp_mode = READ_ONCE(task->seccomp.mode);
#endif
#ifdef CONFIG_SECCOMP_FILTER
	info->seccomp_filters = atomic_read(&task->seccomp.filter_count);
#endif
}

static void pid_info_times(struct pid_info *info, struct task_struct *task,
			   bool whole)
{
	u64 utime, stime;

	if (whole)
		thread_group_cputime_adjusted(task, &utime, &stime);
	else
		task_cputime_adjusted(task, &utime, &stime);
	info->utime_ns = utime;
	info->stime_ns = stime;
}

static void pid_info_sched(struct pid_info *info, struct task_struct *task)
{
	info->policy = READ_ONCE(task->policy);
	info->nice = task_nice(task);
	info->priority = task_prio(task);
	info->rt_priority = READ_ONCE(task->rt_priority);
}

static void pid_info_cpu(struct pid_info *info, struct task_struct *task,
			 bool whole)
{
	struct task_cputime sum;

	info->cpu = task_cpu(task);
	if (whole) {
		thread_group_cputime(task, &sum);
		info->runtime_ns = sum.sum_exec_runtime;
	} else {
		info->runtime_ns = READ_ONCE(task->se.sum_exec_runtime);
	}
#ifdef CONFIG_SCHED_INFO
	info->run_delay_ns = READ_ONCE(task->sched_info.run_delay);
	info->timeslices = READ_ONCE(task->sched_info.pcount);
#endif
}

/* What a thread has used, and what the ended ones of a process had. */
struct pid_info_sums {
	u64 nvcsw;
	u64 nivcsw;
	u64 min_flt;
	u64 maj_flt;
	struct task_io_accounting io;
};

static void pid_info_add_thread(struct pid_info_sums *sums,
				struct task_struct *thread)
{
	sums->nvcsw += READ_ONCE(thread->nvcsw);
	sums->nivcsw += READ_ONCE(thread->nivcsw);
	sums->min_flt += READ_ONCE(thread->min_flt);
	sums->maj_flt += READ_ONCE(thread->maj_flt);
	task_io_accounting_add(&sums->io, &thread->ioac);
}

static void pid_info_add_process(struct pid_info_sums *sums,
				 struct signal_struct *signal)
{
	struct task_struct *thread;
	unsigned int seq = 1;
	unsigned long flags;

	rcu_read_lock();
	do {
		seq++;	/* even: lockless first; odd: with the lock */
		flags = read_seqbegin_or_lock_irqsave(&signal->stats_lock, &seq);
		sums->nvcsw = signal->nvcsw;
		sums->nivcsw = signal->nivcsw;
		sums->min_flt = signal->min_flt;
		sums->maj_flt = signal->maj_flt;
		sums->io = signal->ioac;
		__for_each_thread(signal, thread)
			pid_info_add_thread(sums, thread);
	} while (need_seqretry(&signal->stats_lock, seq));
	done_seqretry_irqrestore(&signal->stats_lock, seq, flags);
	rcu_read_unlock();
}

static void pid_info_sums(struct pid_info *info, struct task_struct *task,
			  bool whole)
{
	struct pid_info_sums sums = {};

	if (whole)
		pid_info_add_process(&sums, task->signal);
	else
		pid_info_add_thread(&sums, task);

	if (info->filled & PID_INFO_SWITCHES) {
		info->nvcsw = sums.nvcsw;
		info->nivcsw = sums.nivcsw;
	}
	if (info->filled & PID_INFO_FAULTS) {
		info->min_flt = sums.min_flt;
		info->maj_flt = sums.maj_flt;
	}
#if defined(CONFIG_TASK_XACCT) && defined(CONFIG_TASK_IO_ACCOUNTING)
	if (info->filled & PID_INFO_IO) {
		info->rchar = sums.io.rchar;
		info->wchar = sums.io.wchar;
		info->read_bytes = sums.io.read_bytes;
		info->write_bytes = sums.io.write_bytes;
	}
	if (info->filled & PID_INFO_BLOCKIO) {
		info->syscr = sums.io.syscr;
		info->syscw = sums.io.syscw;
		info->cancelled_write_bytes = sums.io.cancelled_write_bytes;
	}
#endif
}

static u64 pid_info_counter(struct mm_struct *mm, int member)
{
	return (u64)get_mm_counter(mm, member) << PAGE_SHIFT;
}

static void pid_info_memstat(struct pid_info *info, struct mm_struct *mm)
{
	u64 text = PAGE_ALIGN(mm->end_code) - (mm->start_code & PAGE_MASK);

	info->rss_anon = pid_info_counter(mm, MM_ANONPAGES);
	info->rss_file = pid_info_counter(mm, MM_FILEPAGES);
	info->rss_shmem = pid_info_counter(mm, MM_SHMEMPAGES);
	info->swap = pid_info_counter(mm, MM_SWAPENTS);
	info->rss_peak = (u64)get_mm_hiwater_rss(mm) << PAGE_SHIFT;
	info->vsize_peak = (u64)get_mm_hiwater_vm(mm) << PAGE_SHIFT;
	info->locked = (u64)READ_ONCE(mm->locked_vm) << PAGE_SHIFT;
	info->pinned = (u64)atomic64_read(&mm->pinned_vm) << PAGE_SHIFT;
	info->page_tables = mm_pgtables_bytes(mm);
	info->data = (u64)READ_ONCE(mm->data_vm) << PAGE_SHIFT;
	info->stack_size = (u64)READ_ONCE(mm->stack_vm) << PAGE_SHIFT;
	info->text = min(text, (u64)READ_ONCE(mm->exec_vm) << PAGE_SHIFT);
}

static void pid_info_tell_mm(struct pid_info_call *call, struct mm_struct *mm)
{
	struct pid_info *info = &call->info;

	if (info->filled & PID_INFO_MEM) {
		info->rss = (u64)get_mm_rss(mm) << PAGE_SHIFT;
		info->vsize = (u64)READ_ONCE(mm->total_vm) << PAGE_SHIFT;
	}
	if (info->filled & PID_INFO_STACK)
		info->stack = mm->start_stack;
	if (info->filled & PID_INFO_MEMSTAT)
		pid_info_memstat(info, mm);
	if (info->filled & PID_INFO_EXE) {
		call->exe = get_mm_exe_file(mm);
		if (!call->exe)
			info->filled &= ~PID_INFO_EXE;
	}
	if (info->filled & PID_INFO_CMDLINE) {
		mmget(mm);
		call->mm = mm;
	}
}

/* The mm is the thread's as long as its lock is held: no reference is needed. */
static bool pid_info_thread_mm(struct pid_info_call *call,
			       struct task_struct *thread)
{
	struct mm_struct *mm;

	task_lock(thread);
	mm = thread->mm;
	if (mm)
		pid_info_tell_mm(call, mm);
	task_unlock(thread);
	return mm;
}

/* A main thread that has ended has no memory, its process has. */
static void pid_info_mm(struct pid_info_call *call, struct task_struct *task,
			bool whole)
{
	struct pid_info *info = &call->info;
	struct task_struct *thread;
	bool found = false;

	if (!(task->flags & PF_KTHREAD))
		found = pid_info_thread_mm(call, task);
	if (!found && whole && !(task->flags & PF_KTHREAD)) {
		rcu_read_lock();
		__for_each_thread(task->signal, thread) {
			found = pid_info_thread_mm(call, thread);
			if (found)
				break;
		}
		rcu_read_unlock();
	}
	if (!found)
		info->filled &= ~PID_INFO_MM;
	else if (info->filled & PID_INFO_MEMSTAT)
		info->oom_score_adj = task->signal->oom_score_adj;
}

static u32 pid_info_pid_ns(struct pid_namespace *ns)
{
	/* Without its first process it cannot be opened in /proc either. */
	return READ_ONCE(ns->child_reaper) ? ns->ns.inum : 0;
}

static void pid_info_namespaces(struct pid_info *info, struct task_struct *task)
{
	struct pid_namespace *pid_ns = task_active_pid_ns(task);
	struct nsproxy *nsproxy = task->nsproxy;

	if (!nsproxy || !pid_ns) {
		info->filled &= ~PID_INFO_NAMESPACES;
		info->ns_user = 0;
		return;
	}
	info->ns_pid = pid_ns->ns.inum;
	info->ns_pid_for_children = pid_info_pid_ns(nsproxy->pid_ns_for_children);
	info->ns_mnt = from_mnt_ns(nsproxy->mnt_ns)->inum;
#ifdef CONFIG_CGROUPS
	info->ns_cgroup = nsproxy->cgroup_ns->ns.inum;
#endif
#ifdef CONFIG_IPC_NS
	info->ns_ipc = nsproxy->ipc_ns->ns.inum;
#endif
#ifdef CONFIG_NET_NS
	info->ns_net = nsproxy->net_ns->ns.inum;
#endif
#ifdef CONFIG_TIME_NS
	info->ns_time = nsproxy->time_ns->ns.inum;
	info->ns_time_for_children = nsproxy->time_ns_for_children->ns.inum;
#endif
#ifdef CONFIG_UTS_NS
	info->ns_uts = nsproxy->uts_ns->ns.inum;
#endif
}

static void pid_info_files(struct pid_info *info, struct task_struct *task)
{
	struct fdtable *fdt;

	if (!task->files) {
		info->filled &= ~PID_INFO_FILES;
		return;
	}
	rcu_read_lock();
	fdt = files_fdtable(task->files);
	info->open_files = bitmap_weight(fdt->open_fds, fdt->max_fds);
	rcu_read_unlock();
}

/* What hangs on a task and goes at its end: directories, files, namespaces. */
static void pid_info_task_locked(struct pid_info_call *call,
				 struct task_struct *task)
{
	struct pid_info *info = &call->info;

	task_lock(task);
	if (!task->fs) {
		info->filled &= ~(PID_INFO_ROOT | PID_INFO_CWD);
	} else {
		if (info->filled & PID_INFO_ROOT)
			get_fs_root(task->fs, &call->root);
		if (info->filled & PID_INFO_CWD)
			get_fs_pwd(task->fs, &call->cwd);
	}
	if (info->filled & PID_INFO_NAMESPACES)
		pid_info_namespaces(info, task);
	if (info->filled & PID_INFO_FILES)
		pid_info_files(info, task);
	task_unlock(task);
}

static void pid_info_cgroup(struct pid_info *info, struct task_struct *task)
{
#ifdef CONFIG_CGROUPS
	rcu_read_lock();
	info->cgroup_id = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
#endif
}

static unsigned long pid_info_switches(const struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

static bool pid_info_is_blocked(const struct task_struct *task)
{
#ifdef CONFIG_SMP
	/* Pairs with finish_task(): the switch away has been counted. */
	if (smp_load_acquire(&task->on_cpu))
		return false;
#endif
	return READ_ONCE(task->__state) != TASK_RUNNING;
}

/*
 * Where the user stack of a blocked or stopped task stands. That was saved at its
 * entry into the kernel and stays while it is off the CPU: a task that is blocked
 * after the look, and was not switched away since before it, was so all along.
 */
static void pid_info_sp(struct pid_info *info, struct task_struct *task)
{
#ifdef CONFIG_HAVE_ARCH_TRACEHOOK
	unsigned long switches = pid_info_switches(task);

	/* A worker of the kernel in a process has no registers of its own. */
	if (!task->exit_state &&
	    !(task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)) &&
	    try_get_task_stack(task)) {
		smp_rmb();	/* Count the switches before the look... */
		info->sp = user_stack_pointer(task_pt_regs(task));
		smp_rmb();	/* ...and see whether it is blocked after. */
		put_task_stack(task);
		if (task == current || (pid_info_is_blocked(task) &&
					pid_info_switches(task) == switches))
			return;
		info->sp = 0;
	}
#endif
	info->filled &= ~PID_INFO_SP;
}

static u32 pid_info_task_flags(const struct task_struct *task)
{
	unsigned int flags = READ_ONCE(task->flags);
	u32 ret = 0;

	if (flags & PF_KTHREAD)
		ret |= PID_INFO_F_KTHREAD;
	if (flags & (PF_IO_WORKER | PF_USER_WORKER))
		ret |= PID_INFO_F_USER_WORKER;
	if (flags & PF_EXITING)
		ret |= PID_INFO_F_EXITING;
	return ret;
}

static void pid_info_forget(struct pid_info_call *call)
{
	if (call->exe)
		fput(call->exe);
	if (call->mm)
		mmput(call->mm);
	path_put(&call->root);
	path_put(&call->cwd);
	call->exe = NULL;
	call->mm = NULL;
	call->root = (struct path){};
	call->cwd = (struct path){};
}

/* One look, with permission, at what @task is. */
static int pid_info_glance(struct pid_info_call *call, struct task_struct *task,
			   pid_t nr)
{
	struct pid_info *info = &call->info;
	bool whole = !(call->flags & PID_INFO_THREAD);
	int ret;

	BUILD_BUG_ON(sizeof(*info) % sizeof(u64));
	memset64((u64 *)info, 0, DIV_ROUND_UP(min(call->usize, sizeof(*info)),
					      sizeof(u64)));
	ret = pid_info_permit(call, task);
	if (!ret)
		ret = pid_info_locked(call, task, nr);
	if (ret)
		return ret;

	info->wanted = call->wanted;
	info->supported = call->supported;
	info->flags = pid_info_task_flags(task);
	info->start_ns = timens_add_boottime_ns(task->start_boottime);
	info->age_ns = ktime_get_boottime_ns() - task->start_boottime;
	if (call->match_start_ns && call->match_start_ns != info->start_ns)
		return -ESRCH;

	/*
	 * Unlocked, as everywhere: always terminated, at worst half renamed.
	 * What is behind it is 0 already.
	 */
	strscpy(info->comm, task->comm, sizeof(info->comm));
	if (info->filled & (PID_INFO_CREDS | PID_INFO_CAPS | PID_INFO_NAMESPACES))
		pid_info_creds(info, task);
	if (info->filled & PID_INFO_SECCOMP)
		pid_info_seccomp(info, task);
	if (info->filled & PID_INFO_TIMES)
		pid_info_times(info, task, whole);
	if (info->filled & PID_INFO_SCHED)
		pid_info_sched(info, task);
	if (info->filled & PID_INFO_CPU)
		pid_info_cpu(info, task, whole);
	if (info->filled & PID_INFO_SUMS)
		pid_info_sums(info, task, whole);
	if (info->filled & PID_INFO_CGROUP)
		pid_info_cgroup(info, task);
	if (info->filled & PID_INFO_SP)
		pid_info_sp(info, task);
	if (info->filled & (PID_INFO_ROOT | PID_INFO_CWD | PID_INFO_NAMESPACES |
			    PID_INFO_FILES))
		pid_info_task_locked(call, task);
	if (info->filled & PID_INFO_MM)
		pid_info_mm(call, task, whole);
	return 0;
}

/*
 * A look that no execve(2) of the task came into: credentials, memory and label
 * change while that holds exec_update_lock for writing, and it raises self_exec_id
 * meanwhile. So a look is good if the lock was free before and after it, and the
 * count the same. The lock is taken only where an execve(2) is under way: who
 * only looks does not keep others from theirs. When another thread calls it, the
 * task is gone before.
 */
static int pid_info_look(struct pid_info_call *call, struct task_struct *task,
			 pid_t nr)
{
	struct rw_semaphore *exec_lock = &task->signal->exec_update_lock;
	u64 execs = READ_ONCE(task->self_exec_id);
	int ret;

	smp_rmb();	/* The count before the lock... */
	if (!rwsem_is_locked(exec_lock)) {
		smp_rmb();	/* ...the lock before the look... */
		ret = pid_info_glance(call, task, nr);
		smp_rmb();	/* ...the look before the lock... */
		if (!rwsem_is_locked(exec_lock)) {
			smp_rmb();	/* ...and the lock before the count. */
			if (!ret && !pid_alive(task))
				ret = -EAGAIN;
			else if (READ_ONCE(task->self_exec_id) != execs)
				ret = -EAGAIN;
			if (ret != -EAGAIN)
				return ret;
		}
		pid_info_forget(call);
	}

	ret = down_read_killable(exec_lock);
	if (ret)
		return ret;
	ret = pid_info_glance(call, task, nr);
	up_read(exec_lock);
	return ret;
}

/*
 * Strings and lists: nothing of the task is locked here
 */

/* Whether there is room for @size bytes, whose place *@to is told in @data. */
static bool pid_info_reserve(struct pid_info_call *call,
			     struct pid_info_data *data, u64 size,
			     char __user **to)
{
	u64 at = call->used;

	data->offset = PID_INFO_NO_ROOM;
	data->size = min_t(u64, size, PID_INFO_TOO_LONG);
	if (call->string_max && size > call->string_max)
		return false;
	call->used += round_up(size, sizeof(u64));
	if (at + size > call->room)
		return false;
	data->offset = at;
	*to = call->base + at;
	return true;
}

static int pid_info_put(struct pid_info_call *call, struct pid_info_data *data,
			const void *bytes, size_t size)
{
	char __user *to;

	if (!pid_info_reserve(call, data, size, &to))
		return 0;
	return copy_to_user(to, bytes, size) ? -EFAULT : 0;
}

static int pid_info_put_string(struct pid_info_call *call,
			       struct pid_info_data *data, const char *string)
{
	return pid_info_put(call, data, string, strlen(string) + 1);
}

/*
 * The path as readlink() of its link in /proc has it, but longer than that tells
 * it, too.
 */
static int pid_info_path(struct pid_info_call *call, struct pid_info_data *data,
			 const struct path *path, u32 deleted, u32 outside)
{
	size_t size = PATH_MAX;
	struct path root;
	char *page, *name;
	int ret;

	if (d_unlinked(path->dentry))
		call->info.flags |= deleted;
	get_fs_root(current->fs, &root);
	if (!path_is_under(path, &root))
		call->info.flags |= outside;
	path_put(&root);

	for (;; size = PID_INFO_PATH_MAX) {
		page = kvmalloc(size, GFP_KERNEL);
		if (!page)
			return -ENOMEM;
		name = d_path(path, page, size);
		if (name != ERR_PTR(-ENAMETOOLONG) || size == PID_INFO_PATH_MAX)
			break;
		kvfree(page);
	}
	if (name == ERR_PTR(-ENAMETOOLONG)) {
		data->offset = PID_INFO_NO_ROOM;
		data->size = PID_INFO_TOO_LONG;
		ret = 0;
	} else if (IS_ERR(name)) {
		ret = PTR_ERR(name);
	} else {
		ret = pid_info_put_string(call, data, name);
	}
	kvfree(page);
	return ret;
}

static int pid_info_paths(struct pid_info_call *call)
{
	struct pid_info *info = &call->info;
	int ret = 0;

	if (info->filled & PID_INFO_ROOT)
		ret = pid_info_path(call, &info->root, &call->root,
				    PID_INFO_F_ROOT_DELETED,
				    PID_INFO_F_ROOT_OUTSIDE);
	if (!ret && (info->filled & PID_INFO_CWD))
		ret = pid_info_path(call, &info->cwd, &call->cwd,
				    PID_INFO_F_CWD_DELETED,
				    PID_INFO_F_CWD_OUTSIDE);
	if (!ret && (info->filled & PID_INFO_EXE))
		ret = pid_info_path(call, &info->exe, &call->exe->f_path,
				    PID_INFO_F_EXE_DELETED,
				    PID_INFO_F_EXE_OUTSIDE);
	return ret;
}

static int pid_info_name(struct pid_info_call *call, struct task_struct *task)
{
	char name[64];	/* as in /proc/PID/stat */

	if (task->flags & PF_WQ_WORKER)
		wq_worker_comm(name, sizeof(name), task);
	else if (task->flags & PF_KTHREAD)
		get_kthread_comm(name, sizeof(name), task);
	else
		strscpy(name, call->info.comm, sizeof(name));
	return pid_info_put_string(call, &call->info.name, name);
}

static int pid_info_groups(struct pid_info_call *call, struct task_struct *task)
{
	struct user_namespace *ns = current_user_ns();
	const struct cred *cred = get_task_cred(task);
	const struct group_info *groups = cred->group_info;
	char __user *to;
	int i, ret = 0;

	if (pid_info_reserve(call, &call->info.groups,
			     groups->ngroups * sizeof(u32), &to))
		for (i = 0; !ret && i < groups->ngroups; i++)
			ret = put_user(from_kgid_munged(ns, groups->gid[i]),
				       (u32 __user *)to + i);
	put_cred(cred);
	return ret;
}

static int pid_info_nspids(struct pid_info_call *call, struct task_struct *task)
{
	struct pid *pid = get_task_pid(task, PIDTYPE_PID);
	unsigned int level = call->ns->level, i;
	s32 ids[MAX_PID_NS_LEVEL + 1];

	if (!pid) {
		call->info.filled &= ~PID_INFO_NSPIDS;
		return 0;
	}
	for (i = level; i <= pid->level; i++)
		ids[i - level] = pid->numbers[i].nr;
	put_pid(pid);
	return pid_info_put(call, &call->info.nspids, ids,
			    (i - level) * sizeof(*ids));
}

/*
 * The part of the arguments that /proc/PID/cmdline shows, and how much of that is in
 * @page already. A program that has written over the NUL at their end has set a title,
 * which may go on where its environment was.
 */
static int pid_info_arguments(struct mm_struct *mm, char *page,
			      unsigned long *start, unsigned long *size)
{
	unsigned long arg_end, env_start, env_end;
	char last;
	int got;

	spin_lock(&mm->arg_lock);
	*start = mm->arg_start;
	arg_end = mm->arg_end;
	env_start = mm->env_start;
	env_end = mm->env_end;
	spin_unlock(&mm->arg_lock);

	*size = 0;
	if (*start >= arg_end)
		return 0;
	if (env_start != arg_end || env_end < env_start)
		env_end = arg_end;

	*size = arg_end - *start;
	got = access_remote_vm(mm, *start, page, min(*size, PAGE_SIZE),
			       FOLL_ANON);
	if (*size <= PAGE_SIZE)
		last = got == *size ? page[got - 1] : 0;
	else if (access_remote_vm(mm, arg_end - 1, &last, 1, FOLL_ANON) != 1)
		last = 0;
	if (!last)
		return got;

	got = access_remote_vm(mm, *start, page,
			       min(env_end - *start, PAGE_SIZE), FOLL_ANON);
	*size = got > 0 ? strnlen(page, got) : 0;
	if (got > 0 && *size < got)
		(*size)++;
	return *size;
}

/*
 * Each reading takes the mmap_lock, which the task needs for an execve(2): mostly
 * there is one.
 */
static int pid_info_cmdline(struct pid_info_call *call)
{
	unsigned long start, size, done = 0;
	struct mm_struct *mm = call->mm;
	char __user *to;
	int ret = 0, got;
	char *page;

	page = (char *)__get_free_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	got = pid_info_arguments(mm, page, &start, &size);
	if (!pid_info_reserve(call, &call->info.cmdline, size, &to))
		size = 0;
	while (done < size) {
		if (done)
			got = access_remote_vm(mm, start + done, page,
					       min(size - done, PAGE_SIZE),
					       FOLL_ANON);
		if (got <= 0) {
			/* What cannot be read is not there, as in /proc. */
			call->info.cmdline.size = done;
			break;
		}
		if (copy_to_user(to + done, page, got)) {
			ret = -EFAULT;
			break;
		}
		done += got;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	free_page((unsigned long)page);
	return ret;
}

/* A walk over the children of one process or thread. */
struct pid_info_walk {
	struct task_struct *batch[PID_INFO_BATCH];
	unsigned int len;
};

static void pid_info_walk_put(struct pid_info_walk *walk)
{
	while (walk->len)
		put_task_struct(walk->batch[--walk->len]);
}

/*
 * Where the walk goes on: behind the last child of the batch that still is one of
 * @thread's. When all of them are gone there is no place left to go on from.
 */
static struct list_head *pid_info_walk_place(struct pid_info_walk *walk,
					     struct task_struct *thread)
{
	unsigned int i = walk->len;

	if (!i)
		return &thread->children;
	while (i--) {
		struct task_struct *child = walk->batch[i];

		if (!list_empty(&child->sibling) &&
		    rcu_access_pointer(child->real_parent) == thread)
			return &child->sibling;
	}
	return NULL;
}

/*
 * The next children of @thread, as many as fit into @walk, each referenced. Returns
 * how many, -EAGAIN when the walk has lost its place.
 */
static int pid_info_walk_next(struct pid_info_walk *walk,
			      struct task_struct *thread)
{
	struct task_struct *next[PID_INFO_BATCH];
	unsigned int len = 0;
	struct list_head *at;

	read_lock(&tasklist_lock);
	at = pid_info_walk_place(walk, thread);
	if (!at) {
		read_unlock(&tasklist_lock);
		pid_info_walk_put(walk);
		return -EAGAIN;
	}
	for (at = at->next; at != &thread->children && len < ARRAY_SIZE(next);
	     at = at->next) {
		next[len] = list_entry(at, struct task_struct, sibling);
		get_task_struct(next[len++]);
	}
	read_unlock(&tasklist_lock);

	pid_info_walk_put(walk);
	memcpy(walk->batch, next, len * sizeof(*next));
	walk->len = len;
	return len;
}

/* Where the list of children is, and how far it has got. */
struct pid_info_list {
	s32 __user *to;
	u32 room;
	u32 count;
};

static int pid_info_list_batch(struct pid_info_call *call,
			       struct pid_info_list *list,
			       struct pid_info_walk *walk)
{
	unsigned int i;

	for (i = 0; i < walk->len; i++) {
		s32 nr = task_tgid_nr_ns(walk->batch[i], call->ns);

		/* Reaped meanwhile, or not there for the caller. */
		if (!nr || pid_info_hides(walk->batch[i], call->ns) == 2)
			continue;
		if (list->count < list->room &&
		    put_user(nr, list->to + list->count))
			return -EFAULT;
		list->count++;
	}
	return 0;
}

static int pid_info_list_thread(struct pid_info_call *call,
				struct pid_info_list *list,
				struct task_struct *thread)
{
	struct pid_info_walk walk = {};
	u32 before = list->count;
	int ret;

	for (;;) {
		ret = pid_info_walk_next(&walk, thread);
		if (!ret)
			break;
		if (ret == -EAGAIN) {
			list->count = before;	/* from the start */
		} else {
			ret = pid_info_list_batch(call, list, &walk);
			if (ret)
				break;
		}
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	pid_info_walk_put(&walk);
	return ret;
}

/*
 * The thread of a process after @thread that has children, referenced in exchange
 * for @thread; NULL after the last, -EAGAIN when @thread has left the list.
 */
static struct task_struct *pid_info_next_parent(struct signal_struct *signal,
						struct task_struct *thread)
{
	struct task_struct *next = thread, *found = NULL;

	rcu_read_lock();
	if (!pid_alive(thread)) {
		found = ERR_PTR(-EAGAIN);
	} else {
		list_for_each_entry_continue_rcu(next, &signal->thread_head,
						 thread_node) {
			if (list_empty_careful(&next->children))
				continue;
			found = next;
			get_task_struct(found);
			break;
		}
	}
	rcu_read_unlock();
	put_task_struct(thread);
	return found;
}

/* The children of all threads from @task on, which leads the list; or of it alone. */
static int pid_info_list_children(struct pid_info_call *call,
				  struct pid_info_list *list,
				  struct task_struct *task)
{
	struct task_struct *thread = task;
	int ret;

	list->count = 0;
	get_task_struct(thread);
	do {
		ret = pid_info_list_thread(call, list, thread);
		if (ret || (call->flags & PID_INFO_THREAD)) {
			put_task_struct(thread);
			return ret;
		}
		thread = pid_info_next_parent(task->signal, thread);
	} while (!IS_ERR_OR_NULL(thread));
	return PTR_ERR_OR_ZERO(thread);
}

static int pid_info_children(struct pid_info_call *call,
			     struct task_struct *task)
{
	struct pid_info_data *data = &call->info.children;
	struct pid_info_list list = {};
	char __user *to;
	int ret;

	if (call->used < call->room) {
		list.to = (s32 __user *)(call->base + call->used);
		list.room = (call->room - call->used) / sizeof(s32);
	}
	/* A thread that had children has ended: they are another's now. */
	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		ret = pid_info_list_children(call, &list, task);
	} while (ret == -EAGAIN && pid_alive(task));
	if (!ret)
		pid_info_reserve(call, data, list.count * sizeof(s32), &to);
	return ret;
}

/*
 * A record
 */

/* All of the record of @task, which is found by @nr. */
static int pid_info_record(struct pid_info_call *call, struct task_struct *task,
			   pid_t nr)
{
	struct pid_info *info = &call->info;
	int ret;

	ret = pid_info_look(call, task, nr);
	if (!ret)
		ret = pid_info_paths(call);
	if (!ret && (info->filled & PID_INFO_CMDLINE))
		ret = pid_info_cmdline(call);
	if (!ret && (info->filled & PID_INFO_NAME))
		ret = pid_info_name(call, task);
	if (!ret && (info->filled & PID_INFO_GROUPS))
		ret = pid_info_groups(call, task);
	if (!ret && (info->filled & PID_INFO_NSPIDS))
		ret = pid_info_nspids(call, task);
	if (!ret && (info->filled & PID_INFO_CHILDREN))
		ret = pid_info_children(call, task);
	pid_info_forget(call);
	return ret;
}

/* Beyond what this kernel knows the caller's bytes are 0 already. */
static int pid_info_copy_out(const struct pid_info_call *call,
			     struct pid_info __user *uinfo)
{
	size_t size = min(call->usize, sizeof(call->info));

	if (!user_write_access_begin(uinfo, size))
		return -EFAULT;
	unsafe_copy_to_user((char __user *)uinfo, (const char *)&call->info,
			    size, efault);
	user_write_access_end();
	return 0;

efault:
	user_write_access_end();
	return -EFAULT;
}

/* The groups behind PID_INFO_SIZE_VER0, by the end of the last of their fields. */
#define PID_INFO_END(group, last)					\
	{ PID_INFO_##group, offsetofend(struct pid_info, last) }

static const struct {
	u64 group;
	size_t end;
} pid_info_ends[] = {
	PID_INFO_END(EXE, exe),
	PID_INFO_END(CMDLINE, cmdline),
	PID_INFO_END(NAME, name),
	PID_INFO_END(GROUPS, groups),
	PID_INFO_END(NSPIDS, nspids),
	PID_INFO_END(CAPS, securebits),
	PID_INFO_END(SECCOMP, seccomp_filters),
	PID_INFO_END(CTIMES, cmaj_flt),
	PID_INFO_END(CPU, cpu),
	PID_INFO_END(MEMSTAT, text),
	PID_INFO_END(BLOCKIO, cancelled_write_bytes),
	PID_INFO_END(TTY, tpgid),
	PID_INFO_END(TRACER, tracer_pid),
	PID_INFO_END(NAMESPACES, ns_uts),
	PID_INFO_END(FILES, open_files),
	PID_INFO_END(LIMITS, limits),
};

static u64 pid_info_within(size_t usize)
{
	u64 mask = PID_INFO_VER0;
	unsigned int i;

	for (i = 0; usize > PID_INFO_SIZE_VER0 && i < ARRAY_SIZE(pid_info_ends); i++)
		if (pid_info_ends[i].end <= usize)
			mask |= pid_info_ends[i].group;
	return mask;
}

static u64 pid_info_supported(size_t usize)
{
	u64 mask = PID_INFO_VER1;

	if (usize < PID_INFO_SIZE_VER1)
		mask = pid_info_within(usize);
#ifndef PID_INFO_HAS_INODE
	mask &= ~PID_INFO_INODE;
#endif
#ifdef PID_INFO_KEEPS_EXIT
	mask |= PID_INFO_REAPED;
#endif
	if (!IS_ENABLED(CONFIG_TASK_XACCT) ||
	    !IS_ENABLED(CONFIG_TASK_IO_ACCOUNTING))
		mask &= ~(PID_INFO_IO | PID_INFO_BLOCKIO);
	if (!IS_ENABLED(CONFIG_CGROUPS))
		mask &= ~PID_INFO_CGROUP;
	if (!IS_ENABLED(CONFIG_HAVE_ARCH_TRACEHOOK))
		mask &= ~PID_INFO_SP;
	if (!IS_ENABLED(CONFIG_SCHED_INFO))
		mask &= ~PID_INFO_CPU;
	return mask;
}

/*
 * The request: what is wanted, of whom, and the buffer. All else is only room for
 * the answer. Bytes that this kernel does not know have to be 0, as in clone3().
 */
static int pid_info_copy_in(struct pid_info_call *call,
			    struct pid_info __user *uinfo, size_t usize)
{
	int ret;

	if (usize > sizeof(*uinfo)) {
		ret = check_zeroed_user((char __user *)uinfo + sizeof(*uinfo),
					usize - sizeof(*uinfo));
		if (ret <= 0)
			return ret ?: -E2BIG;
	}

	if (!user_read_access_begin(uinfo, PID_INFO_SIZE_VER0))
		return -EFAULT;
	unsafe_get_user(call->wanted, &uinfo->wanted, efault);
	unsafe_get_user(call->buffer, &uinfo->buffer, efault);
	unsafe_get_user(call->match_inode, &uinfo->match_inode, efault);
	unsafe_get_user(call->match_start_ns, &uinfo->match_start_ns, efault);
	unsafe_get_user(call->buffer_size, &uinfo->buffer_size, efault);
	unsafe_get_user(call->string_max, &uinfo->string_max, efault);
	unsafe_get_user(call->cursor, &uinfo->cursor, efault);
	user_read_access_end();

	call->usize = usize;
	call->ns = task_active_pid_ns(current);
	call->supported = pid_info_supported(usize);
	if (call->match_inode && !(call->supported & PID_INFO_INODE))
		return -EOPNOTSUPP;
	return 0;

efault:
	user_read_access_end();
	return -EFAULT;
}

/*
 * One record
 */

/* The task that @pid means, referenced, and the id that it has for the caller. */
static struct task_struct *pid_info_find(const struct pid_info_call *call,
					 pid_t pid, pid_t *nr)
{
	bool thread = call->flags & PID_INFO_THREAD;
	struct pid *found = NULL;
	struct task_struct *task;
	unsigned int ignored;

	if (call->flags & PID_INFO_PIDFD) {
		found = pidfd_get_pid(pid, &ignored);
		if (IS_ERR(found))
			return ERR_CAST(found);
	}

	/* The id is that of what was asked for: the task may lose it any time. */
	rcu_read_lock();
	if (!found) {
		if (pid)
			found = find_pid_ns(pid, call->ns);
		else
			found = thread ? task_pid(current) : task_tgid(current);
		found = get_pid(found);
	}
	*nr = pid_nr_ns(found, call->ns);
	task = pid_task(found, thread ? PIDTYPE_PID : PIDTYPE_TGID);
	if (!*nr)
		task = NULL;
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	put_pid(found);

	return task ?: ERR_PTR(-ESRCH);
}

/* The record of the task that @pid means. -EAGAIN when the id changed hands. */
static int pid_info_living(struct pid_info_call *call, pid_t pid)
{
	struct task_struct *task;
	pid_t nr;
	int ret;

	task = pid_info_find(call, pid, &nr);
	if (IS_ERR(task))
		return PTR_ERR(task);
	call->used = 0;
	ret = pid_info_record(call, task, nr);
	put_task_struct(task);
	return ret;
}

/*
 * The status of a reaped task, where the kernel keeps it for who has a pidfd. The
 * start that is to be matched is not known any more.
 */
static int pid_info_reaped(struct pid_info_call *call, int fd)
{
	int ret = -ESRCH;
#ifdef PID_INFO_KEEPS_EXIT
	struct pid_info *info = &call->info;
	unsigned int ignored;
	struct pid *pid;

	if (!(call->wanted & PID_INFO_REAPED) || call->match_start_ns)
		return -ESRCH;
	pid = pidfd_get_pid(fd, &ignored);
	if (IS_ERR(pid))
		return PTR_ERR(pid);

	memset(info, 0, sizeof(*info));
	if (pid_nr_ns(pid, call->ns) && pidfs_exit_code(pid, &info->exit_code) &&
	    (!call->match_inode || call->match_inode == pid_info_inode_of(pid))) {
		info->wanted = call->wanted;
		info->filled = PID_INFO_REAPED;
		info->supported = call->supported;
		call->used = 0;
		ret = 0;
	}
	put_pid(pid);
#endif
	return ret;
}

static int pid_info_single(struct pid_info_call *call, pid_t pid,
			   struct pid_info __user *uinfo)
{
	struct pid_info *info = &call->info;
	int ret;

	call->base = u64_to_user_ptr(call->buffer);
	call->room = call->buffer_size;
	/* While the id is another's by now, or nobody's, look again. */
	while ((ret = pid_info_living(call, pid)) == -EAGAIN) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	if (ret == -ESRCH && (call->flags & PID_INFO_PIDFD))
		ret = pid_info_reaped(call, pid);
	if (ret)
		return ret;

	info->buffer = call->buffer;
	info->match_inode = call->match_inode;
	info->match_start_ns = call->match_start_ns;
	info->buffer_size = call->buffer_size;
	info->string_max = call->string_max;
	info->cursor = call->cursor;
	info->buffer_needed = min_t(u64, call->used, U32_MAX);
	info->size = min(call->usize, sizeof(*info));
	return pid_info_copy_out(call, uinfo);
}

/*
 * Many records
 */

/*
 * The first process, or thread, from @nr on, of @process if that is given;
 * referenced. @nr is moved to its id.
 */
static struct task_struct *pid_info_next(const struct pid_info_call *call,
					 struct task_struct *process, pid_t *nr)
{
	enum pid_type type = call->flags & PID_INFO_THREAD ? PIDTYPE_PID :
							     PIDTYPE_TGID;
	struct task_struct *task;
	struct pid *pid;

	rcu_read_lock();
	while ((pid = find_ge_pid(*nr, call->ns))) {
		*nr = pid_nr_ns(pid, call->ns);
		task = pid_task(pid, type);
		if (task && (!process || same_thread_group(task, process))) {
			get_task_struct(task);
			rcu_read_unlock();
			return task;
		}
		(*nr)++;
		/* The walk goes by number: nothing is kept over this. */
		rcu_read_unlock();
		if (fatal_signal_pending(current))
			return ERR_PTR(-EINTR);
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	return NULL;
}

/* The record of @task at @base, with its strings. -ENOSPC if it does not fit. */
static int pid_info_one_of_many(struct pid_info_call *call,
				struct task_struct *task, pid_t nr)
{
	struct pid_info *info = &call->info;
	size_t length = round_up(call->usize, sizeof(u64));
	struct pid_info __user *to = (struct pid_info __user *)call->base;
	int ret;

	call->used = length;
	ret = pid_info_record(call, task, nr);
	if (ret)
		return ret;
	if (call->used > call->room)
		return -ENOSPC;
	info->size = call->used;
	info->buffer_needed = call->used - length;
	ret = pid_info_copy_out(call, to);
	if (!ret && length > sizeof(*info) &&
	    clear_user((char __user *)to + sizeof(*info),
		       length - sizeof(*info)))
		ret = -EFAULT;
	return ret;
}

/* That a process is hidden, gone or another's by now does not end a sweep. */
static bool pid_info_passes_over(int error)
{
	return error == -ESRCH || error == -EPERM || error == -EACCES;
}

static int pid_info_fill_buffer(struct pid_info_call *call,
				struct task_struct *process, pid_t *cursor)
{
	struct task_struct *task;
	pid_t nr = *cursor;
	int count = 0, ret;

	while ((task = pid_info_next(call, process, &nr))) {
		if (IS_ERR(task))
			return PTR_ERR(task);
		ret = pid_info_one_of_many(call, task, nr);
		put_task_struct(task);
		if (ret == -ENOSPC)
			return count ?: ret;
		if (!ret) {
			call->base += call->used;
			call->room -= call->used;
			count++;
		} else if (!pid_info_passes_over(ret) && ret != -EAGAIN) {
			return ret;
		}
		if (ret != -EAGAIN)
			nr++;
		*cursor = nr;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	*cursor = nr;
	return count;
}

static int pid_info_many(struct pid_info_call *call, pid_t pid,
			 struct pid_info __user *uinfo)
{
	struct task_struct *process = NULL;
	pid_t cursor = call->cursor;
	unsigned int flags = call->flags;
	int ret;

	if (cursor < 0 || call->match_inode || call->match_start_ns ||
	    call->buffer % sizeof(u64))
		return -EINVAL;
	if (!(flags & PID_INFO_THREAD) && (pid || (flags & PID_INFO_PIDFD)))
		return -EINVAL;
	if (pid || (flags & PID_INFO_PIDFD)) {
		pid_t nr;

		call->flags &= ~PID_INFO_THREAD;
		process = pid_info_find(call, pid, &nr);
		call->flags = flags;
		if (IS_ERR(process))
			return PTR_ERR(process);
	}

	call->base = u64_to_user_ptr(call->buffer);
	call->room = call->buffer_size;
	ret = pid_info_fill_buffer(call, process, &cursor);
	if (process)
		put_task_struct(process);
	if (ret < 0 && ret != -ENOSPC)
		return ret;
	if (put_user(cursor, &uinfo->cursor) ||
	    put_user(call->supported, &uinfo->supported) ||
	    put_user(ret == -ENOSPC ? min_t(u64, call->used, U32_MAX) : 0,
		     &uinfo->buffer_needed))
		return -EFAULT;
	return ret;
}

/**
 * sys_get_pid_info - tell what a task is, or what many are
 * @pid: whom: an id in the caller's PID namespace, 0 for the caller, or a pidfd
 * @uinfo: what is wanted, and room for the answer
 * @usize: size of the structure that the caller knows
 * @flags: PID_INFO_*: whom @pid means, and whether one record or many
 *
 * Return: 0, of many records their number; -EINVAL for an unknown flag, a negative
 * @pid, a @usize below PID_INFO_SIZE_VER0, or a request for many that does not go
 * together; -E2BIG for a @usize above a page, or when bytes that this kernel does
 * not know are not 0; -EFAULT; -EBADF for no pidfd; -ESRCH when there is no such
 * task, or none that the caller may see; -EPERM when it may see it and no more;
 * -EACCES, as a security module has it; -EOPNOTSUPP for an inode to match on a
 * kernel that has none; -ENOSPC when not one of many fits; -ENOMEM; -EINTR when
 * killed.
 */
SYSCALL_DEFINE4(get_pid_info, pid_t, pid, struct pid_info __user *, uinfo,
		size_t, usize, unsigned int, flags)
{
	struct pid_info_call *call;
	int ret;

	BUILD_BUG_ON(offsetofend(struct pid_info, cwd) != PID_INFO_SIZE_VER0);
	BUILD_BUG_ON(offsetofend(struct pid_info, limits) != PID_INFO_SIZE_VER1);
	BUILD_BUG_ON(PID_INFO_COMM_LEN != TASK_COMM_LEN);

	if (flags & ~PID_INFO_FLAGS)
		return -EINVAL;
	if (usize < PID_INFO_SIZE_VER0)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	if (pid < 0 && !(flags & PID_INFO_PIDFD))
		return -EINVAL;

	call = kmalloc_obj(*call, GFP_KERNEL);
	if (!call)
		return -ENOMEM;
	call->flags = flags;
	call->mm = NULL;
	call->exe = NULL;
	call->root = (struct path){};
	call->cwd = (struct path){};
	ret = pid_info_copy_in(call, uinfo, usize);
	if (!ret)
		ret = flags & PID_INFO_MANY ? pid_info_many(call, pid, uinfo) :
					      pid_info_single(call, pid, uinfo);
	kfree(call);
	return ret;
}
