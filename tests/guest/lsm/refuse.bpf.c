// SPDX-License-Identifier: GPL-2.0
/* Programs of the BPF LSM: each refuses one thing to user 1000, and nothing to others. */

/* include/uapi/asm-generic/errno-base.h, include/linux/ptrace.h */
#define EPERM			1
#define EACCES			13
#define PTRACE_MODE_READ	0x01
#define PTRACE_MODE_ATTACH	0x02

#define REFUSE(error) ((u32)bpf_get_current_uid_gid() == 1000 ? -(error) : 0)

#ifdef REFUSE_READ
LSM_PROBE(ptrace_access_check, void *task, unsigned int mode)
{
	return mode & PTRACE_MODE_READ ? REFUSE(EPERM) : 0;
}
#endif

#ifdef REFUSE_ATTACH
LSM_PROBE(ptrace_access_check, void *task, unsigned int mode)
{
	return mode & PTRACE_MODE_ATTACH ? REFUSE(EPERM) : 0;
}
#endif

#ifdef REFUSE_GETPGID
LSM_PROBE(task_getpgid, void *task)
{
	return REFUSE(EPERM);
}
#endif

#ifdef REFUSE_GETSID
LSM_PROBE(task_getsid, void *task)
{
	return REFUSE(EACCES);
}
#endif

#ifdef REFUSE_GETSCHEDULER
LSM_PROBE(task_getscheduler, void *task)
{
	return REFUSE(EPERM);
}
#endif

#ifdef REFUSE_GETINFO
LSM_PROBE(task_getinfo, void *task)
{
	return REFUSE(EACCES);
}
#endif
