// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(2): what a PID is, in one call.
 *
 * The answer is collected in a kernel copy of struct pid_info and copied out
 * once, after every lock and reference has been dropped.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/sysctl.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/time_namespace.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <uapi/linux/pid_info.h>

/* Fields that /proc shows only to who may read the task's memory. */
#define PID_INFO_READ	(PID_INFO_IO | PID_INFO_EXIT | PID_INFO_STACK | \
			 PID_INFO_ROOT | PID_INFO_CWD)

/* Fields that /proc shows only to who may attach to the task. */
#define PID_INFO_ATTACH	PID_INFO_SP

/* When set, a process that the caller may not ptrace does not exist for it. */
unsigned int pid_info_restrict __read_mostly;

/* What has to leave the kernel besides the fixed structure. */
struct pid_info_out {
	struct pid_info info;
	struct pid_namespace *ns;
	s32 *children;
	u32 children_room;
	char *root_page;
	char *root;
	char *cwd_page;
	char *cwd;
};

static bool pid_info_visible(struct task_struct *task)
{
	return !READ_ONCE(pid_info_restrict) ||
	       ptrace_may_access(task, PTRACE_MODE_READ_REALCREDS |
				 PTRACE_MODE_NOAUDIT);
}

/*
 * The task that @nr names, or with @next the first process from @nr on;
 * referenced. @nr is moved to the id that was found.
 */
static struct task_struct *pid_info_find(pid_t *nr, struct pid_namespace *ns,
					 bool next)
{
	struct task_struct *task = NULL;
	struct pid *pid;

	rcu_read_lock();
	if (!next) {
		task = pid_task(find_pid_ns(*nr, ns), PIDTYPE_PID);
		if (task && !pid_info_visible(task))
			task = NULL;
	} else {
		while ((pid = find_ge_pid(*nr, ns))) {
			*nr = pid_nr_ns(pid, ns);
			task = pid_task(pid, PIDTYPE_TGID);
			if (task && pid_info_visible(task))
				break;
			task = NULL;
			(*nr)++;
			/* The walk goes by number: nothing is kept over this. */
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	if (task)
		get_task_struct(task);
	rcu_read_unlock();

	return task;
}

/* Nearly every caller is in the first user namespace, where ids are themselves. */
static u32 pid_info_uid(struct user_namespace *ns, kuid_t uid)
{
	return ns == &init_user_ns ? __kuid_val(uid) :
				     from_kuid_munged(ns, uid);
}

static u32 pid_info_gid(struct user_namespace *ns, kgid_t gid)
{
	return ns == &init_user_ns ? __kgid_val(gid) :
				     from_kgid_munged(ns, gid);
}

static void pid_info_creds(struct pid_info *info, struct task_struct *task)
{
	struct user_namespace *ns = current_user_ns();
	const struct cred *cred;

	rcu_read_lock();
	cred = __task_cred(task);
	info->uid = pid_info_uid(ns, cred->uid);
	info->euid = pid_info_uid(ns, cred->euid);
	info->gid = pid_info_gid(ns, cred->gid);
	info->egid = pid_info_gid(ns, cred->egid);
	rcu_read_unlock();
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
	info->start_ns = timens_add_boottime_ns(task->start_boottime);
	info->age_ns = ktime_get_boottime_ns() - task->start_boottime;
}

static void pid_info_sched(struct pid_info *info, struct task_struct *task)
{
	info->policy = task->policy;
	info->nice = task_nice(task);
	info->priority = task_prio(task);
	info->rt_priority = task->rt_priority;
	info->nvcsw = task->nvcsw;
	info->nivcsw = task->nivcsw;
}

static void pid_info_set_faults_io(struct pid_info *info, u64 min_flt,
				   u64 maj_flt,
				   const struct task_io_accounting *acct)
{
	if (info->mask & PID_INFO_FAULTS) {
		info->min_flt = min_flt;
		info->maj_flt = maj_flt;
	}
	if (!(info->mask & PID_INFO_IO))
		return;
#ifdef CONFIG_TASK_XACCT
	info->rchar = acct->rchar;
	info->wchar = acct->wchar;
#endif
#ifdef CONFIG_TASK_IO_ACCOUNTING
	info->read_bytes = acct->read_bytes;
	info->write_bytes = acct->write_bytes;
#else
	info->mask &= ~PID_INFO_IO;
#endif
}

/* Faults and I/O of threads that are gone are in the signal_struct. */
static void pid_info_faults_io(struct pid_info *info, struct task_struct *task,
			       bool whole)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *thread;
	unsigned int seq = 1;
	unsigned long flags;

	if (!whole) {
		pid_info_set_faults_io(info, task->min_flt, task->maj_flt,
				       &task->ioac);
		return;
	}

	rcu_read_lock();
	do {
		struct task_io_accounting acct;
		u64 min_flt, maj_flt;

		seq++;	/* even: lockless first; odd: with the lock */
		flags = read_seqbegin_or_lock_irqsave(&sig->stats_lock, &seq);
		acct = sig->ioac;
		min_flt = sig->min_flt;
		maj_flt = sig->maj_flt;
		__for_each_thread(sig, thread) {
			task_io_accounting_add(&acct, &thread->ioac);
			min_flt += thread->min_flt;
			maj_flt += thread->maj_flt;
		}
		pid_info_set_faults_io(info, min_flt, maj_flt, &acct);
	} while (need_seqretry(&sig->stats_lock, seq));
	done_seqretry_irqrestore(&sig->stats_lock, seq, flags);
	rcu_read_unlock();
}

/*
 * Also answers for a kernel thread, which has no memory of its own. The mm is
 * the task's as long as its lock is held: no reference is needed to look.
 */
static void pid_info_mem(struct pid_info *info, struct task_struct *task)
{
	struct mm_struct *mm;

	task_lock(task);
	mm = task->flags & PF_KTHREAD ? NULL : task->mm;
	if (mm && (info->mask & PID_INFO_MEM)) {
		info->rss = (u64)get_mm_rss(mm) << PAGE_SHIFT;
		info->vsize = (u64)READ_ONCE(mm->total_vm) << PAGE_SHIFT;
	}
	if (!mm)
		info->mask &= ~PID_INFO_STACK;
	else if (info->mask & PID_INFO_STACK)
		info->stack = mm->start_stack;
	task_unlock(task);
}

static u64 pid_info_sigset(const sigset_t *set)
{
	u64 bits = set->sig[0];

	if (_NSIG_WORDS > 1)
		bits |= (u64)set->sig[_NSIG_WORDS - 1] << 32;
	return bits;
}

/* Nearly all of @sighand's actions are SIG_DFL, which is 0: four at a look. */
static void pid_info_actions(struct pid_info *info,
			     const struct sighand_struct *sighand)
{
	const struct k_sigaction *action = sighand->action;
	int sig, i;

	BUILD_BUG_ON(_NSIG % 4);
	for (sig = 0; sig < _NSIG; sig += 4, action += 4) {
		if (!((unsigned long)action[0].sa.sa_handler |
		      (unsigned long)action[1].sa.sa_handler |
		      (unsigned long)action[2].sa.sa_handler |
		      (unsigned long)action[3].sa.sa_handler))
			continue;
		for (i = 0; i < 4; i++) {
			if (action[i].sa.sa_handler == SIG_IGN)
				info->sig_ignored |= BIT_ULL(sig + i);
			else if (action[i].sa.sa_handler != SIG_DFL)
				info->sig_caught |= BIT_ULL(sig + i);
		}
	}
}

static void pid_info_signals(struct pid_info *info, struct task_struct *task)
{
	/* Stays as long as the caller holds the siglock in it. */
	struct sighand_struct *sighand =
		rcu_dereference_protected(task->sighand, true);

	lockdep_assert_held(&sighand->siglock);
	info->sig_pending = pid_info_sigset(&task->pending.signal);
	info->sig_shared_pending =
		pid_info_sigset(&task->signal->shared_pending.signal);
	info->sig_blocked = pid_info_sigset(&task->blocked);
	pid_info_actions(info, sighand);
	rcu_read_lock();
	info->sigq_len = get_rlimit_value(task_ucounts(task),
					  UCOUNT_RLIMIT_SIGPENDING);
	rcu_read_unlock();
	info->sigq_limit = task_rlimit(task, RLIMIT_SIGPENDING);
}

static void pid_info_cgroup(struct pid_info *info, struct task_struct *task)
{
#ifdef CONFIG_CGROUPS
	rcu_read_lock();
	info->cgroup_id = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
#else
	info->mask &= ~PID_INFO_CGROUP;
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

	if (!task->exit_state && !(task->flags & PF_KTHREAD) &&
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
	info->mask &= ~PID_INFO_SP;
}

/* pid_nr_ns(), inline: it is asked five times for each answer. */
static inline pid_t pid_info_nr(const struct pid *pid,
				const struct pid_namespace *ns)
{
	if (!pid || ns->level > pid->level || pid->numbers[ns->level].ns != ns)
		return 0;
	return pid->numbers[ns->level].nr;
}

/*
 * Identity, relatives and signals: one moment's view, under one lock. -EAGAIN when
 * @nr is not @task's any more: it is dead, or a thread that called execve(2) has
 * taken the id of its leader.
 */
static int pid_info_locked(struct pid_info *info, struct task_struct *task,
			   struct pid_namespace *ns, pid_t nr)
{
	struct task_struct *parent;
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return -EAGAIN;

	/* Nobody detaches the pids under the siglock, but they may change. */
	rcu_read_lock();
	parent = rcu_dereference(task->real_parent);
	info->pid = pid_info_nr(task_pid(task), ns);
	info->tgid = pid_info_nr(task_tgid(task), ns);
	info->ppid = pid_info_nr(task_tgid(parent), ns);
	info->pgid = pid_info_nr(task_pgrp(task), ns);
	info->sid = pid_info_nr(task_session(task), ns);
	rcu_read_unlock();

	info->num_threads = get_nr_threads(task);
	info->state = task_state_to_char(task);
	if (info->mask & PID_INFO_SIGNALS)
		pid_info_signals(info, task);
	if (task->exit_state != EXIT_ZOMBIE)
		info->mask &= ~PID_INFO_EXIT;
	else if (info->mask & PID_INFO_EXIT)
		info->exit_code = task->signal->flags & SIGNAL_GROUP_EXIT ?
				  task->signal->group_exit_code :
				  task->exit_code;
	unlock_task_sighand(task, &flags);

	return info->pid == nr ? 0 : -EAGAIN;
}

/*
 * Walk the children of every thread, as many ids as fit into @out->children.
 * Nothing can be allocated under tasklist_lock: count, make room, walk again
 * until the room was enough.
 */
static int pid_info_children(struct pid_info_out *out, struct task_struct *task)
{
	struct task_struct *thread, *child;
	u32 cap = out->info.children_cap;
	u32 count;

	for (;;) {
		count = 0;
		read_lock(&tasklist_lock);
		for_each_thread(task, thread) {
			list_for_each_entry(child, &thread->children, sibling) {
				if (count < out->children_room)
					out->children[count] =
						task_tgid_nr_ns(child, out->ns);
				count++;
			}
		}
		read_unlock(&tasklist_lock);

		out->info.children_count = count;
		if (min(count, cap) <= out->children_room)
			return 0;

		kvfree(out->children);
		out->children_room = min(cap, count + count / 8);
		out->children = kvmalloc_array(out->children_room, sizeof(s32),
					       GFP_KERNEL_ACCOUNT);
		if (!out->children) {
			out->children_room = 0;
			return -ENOMEM;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/*
 * The path of @task's root or working directory as readlink() of its link in
 * /proc has it. Returns the start of the path in a buffer from __getname() that
 * is left in *@page, NULL if there is none.
 */
static char *pid_info_path(struct task_struct *task, bool root, char **page)
{
	struct path path = {};
	char *name;

	task_lock(task);
	if (task->fs) {
		if (root)
			get_fs_root(task->fs, &path);
		else
			get_fs_pwd(task->fs, &path);
	}
	task_unlock(task);
	if (!path.dentry)
		return NULL;

	*page = __getname();
	name = *page ? d_path(&path, *page, PATH_MAX) : ERR_PTR(-ENOMEM);
	path_put(&path);
	return name;
}

static int pid_info_paths(struct pid_info_out *out, struct task_struct *task)
{
	struct pid_info *info = &out->info;

	if (info->mask & PID_INFO_ROOT) {
		out->root = pid_info_path(task, true, &out->root_page);
		if (out->root == ERR_PTR(-ENOMEM))
			return -ENOMEM;
		if (IS_ERR_OR_NULL(out->root))
			info->mask &= ~PID_INFO_ROOT;
		else
			info->root_len = strlen(out->root) + 1;
	}
	if (info->mask & PID_INFO_CWD) {
		out->cwd = pid_info_path(task, false, &out->cwd_page);
		if (out->cwd == ERR_PTR(-ENOMEM))
			return -ENOMEM;
		if (IS_ERR_OR_NULL(out->cwd))
			info->mask &= ~PID_INFO_CWD;
		else
			info->cwd_len = strlen(out->cwd) + 1;
	}
	return 0;
}

/*
 * Everything that depends on who asks is read under exec_update_lock, together
 * with the permission: the task cannot become a set-uid program in between.
 */
static int pid_info_fill(struct pid_info_out *out, struct task_struct *task,
			 pid_t nr)
{
	struct pid_info *info = &out->info;
	struct rw_semaphore *exec_lock = &task->signal->exec_update_lock;
	bool whole = thread_group_leader(task);
	bool may_attach = false;
	int ret;

	ret = down_read_killable(exec_lock);
	if (ret)
		return ret;

	if ((info->mask & PID_INFO_ATTACH) &&
	    ptrace_may_access(task, PTRACE_MODE_ATTACH_REALCREDS |
			      PTRACE_MODE_NOAUDIT))
		may_attach = true;
	if (!may_attach)
		info->mask &= ~PID_INFO_ATTACH;
	/* Who may attach can read all of it anyway. */
	if ((info->mask & PID_INFO_READ) && !may_attach &&
	    !ptrace_may_access(task, PTRACE_MODE_READ_REALCREDS |
			       PTRACE_MODE_NOAUDIT))
		info->mask &= ~PID_INFO_READ;

	ret = pid_info_locked(info, task, out->ns, nr);
	if (ret)
		goto out_unlock;

	/*
	 * Unlocked, as everywhere: always terminated, at worst half renamed.
	 * What is behind it is 0 already.
	 */
	strscpy(info->comm, task->comm, sizeof(info->comm));
	if (info->mask & PID_INFO_CREDS)
		pid_info_creds(info, task);
	if (info->mask & PID_INFO_TIMES)
		pid_info_times(info, task, whole);
	if (info->mask & PID_INFO_SCHED)
		pid_info_sched(info, task);
	if (info->mask & (PID_INFO_FAULTS | PID_INFO_IO))
		pid_info_faults_io(info, task, whole);
	if (info->mask & (PID_INFO_MEM | PID_INFO_STACK))
		pid_info_mem(info, task);
	if (info->mask & PID_INFO_CGROUP)
		pid_info_cgroup(info, task);
	if (info->mask & PID_INFO_SP)
		pid_info_sp(info, task);
	if (info->mask & PID_INFO_CHILDREN)
		ret = pid_info_children(out, task);
	if (!ret)
		ret = pid_info_paths(out, task);

out_unlock:
	up_read(exec_lock);
	return ret;
}

static void pid_info_release(struct pid_info_out *out)
{
	if (out->children_room)
		kvfree(out->children);
	if (out->root_page)
		__putname(out->root_page);
	if (out->cwd_page)
		__putname(out->cwd_page);
}

/*
 * What is wanted, and the caller's buffers; all else is only room for the answer.
 * Bytes that this kernel does not know have to be 0, as in clone3().
 */
static int pid_info_copy_in(struct pid_info *info,
			    struct pid_info __user *uinfo, size_t usize)
{
	int ret;

	if (usize > sizeof(*info)) {
		ret = check_zeroed_user((char __user *)uinfo + sizeof(*info),
					usize - sizeof(*info));
		if (ret <= 0)
			return ret ?: -E2BIG;
	}

	if (!user_read_access_begin(uinfo, sizeof(*uinfo)))
		return -EFAULT;
	unsafe_get_user(info->mask, &uinfo->mask, efault);
	unsafe_get_user(info->children, &uinfo->children, efault);
	unsafe_get_user(info->children_cap, &uinfo->children_cap, efault);
	unsafe_get_user(info->root, &uinfo->root, efault);
	unsafe_get_user(info->root_cap, &uinfo->root_cap, efault);
	unsafe_get_user(info->cwd, &uinfo->cwd, efault);
	unsafe_get_user(info->cwd_cap, &uinfo->cwd_cap, efault);
	user_read_access_end();

	info->mask = (info->mask & PID_INFO_ALL) | PID_INFO_IDENT;
	info->size = sizeof(*info);
	return 0;

efault:
	user_read_access_end();
	return -EFAULT;
}

/* The buffers first: the mask must not promise what did not arrive. */
static int pid_info_copy_out(struct pid_info_out *out,
			     struct pid_info __user *uinfo)
{
	struct pid_info *info = &out->info;
	u32 children = min(info->children_count, info->children_cap);
	u64 *from = (u64 *)info, *end = (u64 *)(info + 1);
	u64 __user *to = (u64 __user *)uinfo;

	if (children && copy_to_user(u64_to_user_ptr(info->children),
				     out->children,
				     children * sizeof(*out->children)))
		return -EFAULT;
	if (info->root_len && info->root_len <= info->root_cap &&
	    copy_to_user(u64_to_user_ptr(info->root), out->root,
			 info->root_len))
		return -EFAULT;
	if (info->cwd_len && info->cwd_len <= info->cwd_cap &&
	    copy_to_user(u64_to_user_ptr(info->cwd), out->cwd, info->cwd_len))
		return -EFAULT;
	/*
	 * Beyond what this kernel knows the caller's bytes are 0 already. Three
	 * words in each round, which is half the time of unsafe_copy_to_user().
	 */
	if (!user_write_access_begin(uinfo, sizeof(*info)))
		return -EFAULT;
	BUILD_BUG_ON(sizeof(*info) % sizeof(u64));
	for (; from + 3 <= end; from += 3, to += 3) {
		unsafe_put_user(from[0], to, efault);
		unsafe_put_user(from[1], to + 1, efault);
		unsafe_put_user(from[2], to + 2, efault);
	}
	for (; from < end; from++, to++)
		unsafe_put_user(*from, to, efault);
	user_write_access_end();
	return 0;

efault:
	user_write_access_end();
	return -EFAULT;
}

/*
 * One look for @pid, which is moved to the id that was found. -EAGAIN when that
 * is another's by now, or nobody's: then the next look finds that out.
 */
static int pid_info_look(pid_t *pid, struct pid_info __user *uinfo,
			 size_t usize, bool next)
{
	struct pid_info_out out = {
		.ns = ns_of_pid(task_pid(current)),
	};
	struct task_struct *task;
	int ret;

	ret = pid_info_copy_in(&out.info, uinfo, usize);
	if (ret)
		return ret;
	task = pid_info_find(pid, out.ns, next);
	if (!task)
		return -ESRCH;

	ret = pid_info_fill(&out, task, *pid);
	put_task_struct(task);
	if (!ret)
		ret = pid_info_copy_out(&out, uinfo);
	pid_info_release(&out);
	return ret;
}

/**
 * sys_get_pid_info - tell what a task is
 * @pid: id of the task in the caller's PID namespace
 * @uinfo: what is wanted, and room for the answer
 * @usize: size of the structure that the caller knows
 * @flags: PID_INFO_NEXT or 0
 *
 * Return: 0; -EINVAL for an unknown flag, a negative @pid or a @usize below
 * PID_INFO_SIZE_VER0; -E2BIG for one above a page, or when bytes that this
 * kernel does not know are not 0; -EFAULT; -ESRCH when there is no such task,
 * or none that the caller may see; -ENOMEM; -EINTR when killed.
 */
SYSCALL_DEFINE4(get_pid_info, pid_t, pid, struct pid_info __user *, uinfo,
		size_t, usize, unsigned int, flags)
{
	int ret;

	BUILD_BUG_ON(sizeof(struct pid_info) != PID_INFO_SIZE_VER0);
	BUILD_BUG_ON(offsetofend(struct pid_info, reserved) !=
		     PID_INFO_SIZE_VER0);
	BUILD_BUG_ON(PID_INFO_COMM_LEN != TASK_COMM_LEN);

	if (flags & ~PID_INFO_NEXT)
		return -EINVAL;
	if (usize < PID_INFO_SIZE_VER0)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	if (pid < 0)
		return -EINVAL;

	for (;;) {
		ret = pid_info_look(&pid, uinfo, usize, flags & PID_INFO_NEXT);
		if (ret != -EAGAIN)
			return ret;
		cond_resched();
	}
}
