# SPDX-License-Identifier: Apache-2.0
"""What an independent program did against what the scrape says, to the last call."""

import json

NAME = "ft_workload"


def test_counts_are_exact(lab):
    before = lab.scrape()
    native = json.loads(lab.exec("/root/src/ft_workload").stdout)
    after = lab.scrape()

    def delta(metric, **labels):
        return after.value(metric, **labels) - before.value(metric, **labels)

    calls = {
        (syscall, result): delta("pidinfod_ft_calls_total", syscall=syscall, result=result)
        for syscall in ("ft_fork", "ft_wait", "ft_kill")
        for result in ("ok", "ESRCH", "EPERM", "ECHILD")
    }
    assert calls == {
        ("ft_fork", "ok"): 211, ("ft_fork", "ESRCH"): 0, ("ft_fork", "EPERM"): 0,
        ("ft_fork", "ECHILD"): 0, ("ft_wait", "ok"): 211, ("ft_wait", "ESRCH"): 0,
        ("ft_wait", "EPERM"): 0, ("ft_wait", "ECHILD"): 0, ("ft_kill", "ok"): 503,
        ("ft_kill", "ESRCH"): 101, ("ft_kill", "EPERM"): 53, ("ft_kill", "ECHILD"): 0,
    }  # fmt: skip
    for syscall in ("ft_fork", "ft_wait", "ft_kill"):
        total = delta("pidinfod_ft_calls_total", syscall=syscall)
        assert delta("pidinfod_ft_call_duration_seconds_count", syscall=syscall) == total

    kills = "pidinfod_ft_kill_signals_total"
    assert delta(kills, signal="SIGRTMIN+1", result="ok") == 503
    assert delta(kills, signal="SIGTERM", result="ESRCH") == 101
    assert delta(kills, signal="SIGTERM", result="EPERM") == 53

    generated = {"signal": "SIGRTMIN+1", "sender": NAME, "target": NAME, "origin": "user"}
    assert delta("pidinfod_signals_generated_total", **generated) == 503
    assert delta("pidinfod_signals_generated_total", **generated, result="delivered") == 503
    handled = {"signal": "SIGRTMIN+1", "target": NAME, "disposition": "handled"}
    assert delta("pidinfod_signals_delivered_total", **handled) == 503

    # The native ones are not among the ft_* calls, and are counted all the same.
    assert delta("pidinfod_forks_total", group=NAME, via="ft_fork") == 211
    assert delta("pidinfod_forks_total", group=NAME, via="native") == native["native_forks"]
    ignored = {"signal": "SIGUSR1", "sender": NAME, "target": NAME, "result": "ignored"}
    assert delta("pidinfod_signals_generated_total", **ignored) == native["native_kills"]
    assert delta("pidinfod_execs_total", group=NAME) == 1
    assert delta("pidinfod_exits_total", group=NAME, status="nonzero") == 211
    exits = native["native_forks"] + 1  # and the program itself
    assert delta("pidinfod_exits_total", group=NAME, status="0") == exits
    assert delta("pidinfod_dropped_total") == 0
