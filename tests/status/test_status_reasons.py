"""The sentence a failed job is remembered by."""

from roundoff.status.reasons import last_error


def test_our_own_errors_are_quoted_in_full(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("tiny:  10% slices\nerror: x.nii.gz is empty.\n  Copy it again.\n")
    assert last_error(log) == "x.nii.gz is empty. Copy it again."


def test_of_a_traceback_the_last_line_counts(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(
        "Traceback (most recent call last):\n  File 'a.py'\nMemoryError: no room\n\n"
    )
    assert last_error(log) == "MemoryError: no room"


def test_progress_alone_is_no_error(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("tiny:  10% slices (3 s left)\n")
    assert last_error(log) is None
    assert last_error(tmp_path / "absent.log") is None


def test_long_and_foreign_text_is_cut(tmp_path):
    log = tmp_path / "job.log"
    log.write_bytes(b"error: \xff" + b"x" * 500)
    assert len(last_error(log)) == 300
