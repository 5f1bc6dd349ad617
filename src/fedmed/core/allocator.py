"""The settings of glibc's memory allocator for a process that trains."""

KEEP_MEMORY = {
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.arena_max=1",
            f"glibc.malloc.mmap_threshold={2**32}",
            f"glibc.malloc.trim_threshold={2**33}",
            "glibc.malloc.hugetlb=1",
        )
    )
}
"""For glibc: keep what a training step frees for the next one, instead of a page fault for each of its pages; the
kernel is asked for huge pages."""
