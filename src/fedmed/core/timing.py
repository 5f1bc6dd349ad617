"""The seconds that anything waits, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Intervals between two looks, and limits of waiting, in seconds."""

    # a launcher that follows its processes
    follow_s: float = 0.2  # between two looks at a simulator's files or a member's processes
    process_scan_s: float = 2.0  # between two readings of /proc, each of which costs a few ms
    step_report_s: float = 0.5  # between two reports of a site's steps
    simulator_end_s: float = 60.0  # for the simulator's own end, after its last record
    termination_s: float = 5.0  # for a process that was asked to end

    # a federation's server and its sites
    site_start_s: float = 300.0  # for a site's first heartbeat: it imports, reads its lists and audits
    federation_start_s: float = 120.0  # for server and sites of this machine to find each other
    heartbeats_per_silence: int = 6  # heartbeats within the time after which a site counts as lost
    flare_poll_s: float = 0.5  # FLARE's own interval, where no other is asked for
    task_wait_factor: int = 4  # a site asks for a task so many times less often than for a result

    # a user's session with a federation
    login_s: float = 10.0  # for the first answer
    command_s: float = 30.0  # for any later one
    connect_s: float = 5.0  # for a TCP connection
    job_poll_s: float = 0.5  # between two questions about a job
    unreachable_poll_s: float = 5.0  # between two questions to a server that does not answer
    unreachable_s: float = 900.0  # for a server that does not answer while a job runs there
    first_record_s: float = 3.0  # between questions that no job can answer yet, each an error in the server's log
    job_gone_s: float = 20.0  # for a server to call a job running without a process of it
    abort_s: float = 60.0  # for a job that was aborted
    refusal_s: float = 3.0  # for the reason that follows a refused job's status


TIMING = Timing()
