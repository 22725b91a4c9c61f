// SPDX-License-Identifier: GPL-2.0
/*
 * kernel.ft_calls turns ft_fork(), ft_kill() and ft_wait() off, all else goes on.
 *
 * They stay off until the next boot: nothing that needs them can run after this.
 */
#include "ft_calls.h"
#include <linux/pid_info.h>

#ifndef __NR_get_pid_info
#define __NR_get_pid_info	548
#endif

#define FT_CALLS	"/proc/sys/kernel/ft_calls"

static int setting(void)
{
	char text[16];

	return read_file(FT_CALLS, text, sizeof(text)) ? atoi(text) : -1;
}

/* 0 or the error, negative. */
static int set(const char *text)
{
	int fd = open(FT_CALLS, O_WRONLY | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return -errno;
	done = write(fd, text, strlen(text));
	done = done < 0 ? -errno : done == (ssize_t)strlen(text) ? 0 : -EIO;
	close(fd);
	return done;
}

/* All that @ops has, on one child: 0 or the first answer that is not right. */
static long use(const struct ops *ops)
{
	int status;
	pid_t pid = ops->fork();
	long ret;

	if (!pid)
		doze();
	if (pid < 0)
		return pid;
	ret = ops->kill(pid, SIGTERM);
	if (ret)
		return ret;
	ret = ops->wait(&status);
	if (ret != pid)
		return ret < 0 ? ret : -ECHILD;
	return status == SIGTERM ? 0 : -EIO;
}

static const char *error_of(long ret)
{
	return ret < 0 ? strerrorname_np(-ret) : "none";
}

TEST(on_at_boot)
{
	ASSERT_EQ(1, setting())
		TH_LOG("turned off since the boot, or the option is");
	EXPECT_EQ(0, use(&native_ops));
	EXPECT_EQ(0, use(&ft_ops));
}

TEST(only_off_is_taken)
{
	static const char *const values[] = { "1", "2", "-1", "00x", "4294967296" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		EXPECT_EQ(-EINVAL, set(values[i]))
			TH_LOG("value %u", i);
		EXPECT_EQ(1, setting());
	}
	EXPECT_EQ(0, use(&ft_ops));
}

TEST(only_by_root)
{
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresgid(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	EXPECT_EQ(-EACCES, set("0"));
	EXPECT_EQ(1, setting());

	/* The root of a namespace below is none. */
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
	ASSERT_EQ(0, unshare(CLONE_NEWUSER));
	ASSERT_TRUE(write_file("/proc/self/setgroups", "deny"));
	ASSERT_TRUE(write_file("/proc/self/uid_map", "0 65534 1"));
	ASSERT_TRUE(write_file("/proc/self/gid_map", "0 65534 1"));
	ASSERT_EQ(0, geteuid());
	EXPECT_EQ(-EACCES, set("0"));
	EXPECT_EQ(1, setting());
}

/* From here on they are off, for what follows, too. */
TEST(off)
{
	pid_t sleeper, zombie;
	int status;

	/* Who is in a call when they go off comes out of it as ever. */
	sleeper = fork();
	ASSERT_GE(sleeper, 0);
	if (!sleeper) {
		pid_t pid = fork();

		if (!pid) {
			while (setting())
				sleep_ms(2);
			_exit(7);
		}
		_exit(ft_wait(&status) == pid && status == 7 << 8 ? 0 : 1);
	}
	while (state_of(sleeper) != 'S')
		sleep_ms(2);

	zombie = fork();
	ASSERT_GE(zombie, 0);
	if (!zombie)
		_exit(3);
	EXPECT_EQ(0, waitid(P_PID, zombie, &(siginfo_t){}, WEXITED | WNOWAIT));

	ASSERT_EQ(0, set("0"));
	EXPECT_EQ(0, setting());

	/* Nothing is looked at, so no argument is bad. */
	EXPECT_STREQ("ENOSYS", error_of(ft_fork()));
	EXPECT_STREQ("ENOSYS", error_of(ft_kill(getpid(), SIGKILL)));
	EXPECT_STREQ("ENOSYS", error_of(ft_kill(sleeper, SIGKILL)));
	EXPECT_STREQ("ENOSYS", error_of(ft_kill(0, 4711)));
	EXPECT_STREQ("ENOSYS", error_of(ft_wait(&status)));
	EXPECT_STREQ("ENOSYS", error_of(ft_wait((int *)1)));

	/* The zombie is still one, and nobody else is a child. */
	EXPECT_EQ(zombie, waitpid(zombie, &status, 0));
	EXPECT_EQ(3 << 8, status);
	EXPECT_EQ(sleeper, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, waitpid(-1, &status, 0));
	EXPECT_EQ(ECHILD, errno);
}

TEST(stay_off)
{
	static const char *const values[] = { "1", "2", "-1" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++)
		EXPECT_EQ(-EINVAL, set(values[i]))
			TH_LOG("value %u", i);
	EXPECT_EQ(0, set("0"));
	EXPECT_EQ(0, setting());
	EXPECT_STREQ("ENOSYS", error_of(use(&ft_ops)));
}

TEST(others_go_on)
{
	struct pid_info info = { .wanted = PID_INFO_IDENT };

	EXPECT_EQ(0, use(&native_ops));
	EXPECT_EQ(0, syscall(__NR_get_pid_info, 0, &info, sizeof(info), 0));
	EXPECT_EQ(getpid(), info.pid);
	EXPECT_EQ(getppid(), info.ppid);
}

int main(int argc, char **argv)
{
	return run_cases(argc, argv);
}
