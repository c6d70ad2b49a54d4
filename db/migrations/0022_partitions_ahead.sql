-- As many months as the maintenance keeps ahead, and one more: a new installation has no table made beside its first work.
SELECT sally_ensure_partitions(sally_now(), 7);
