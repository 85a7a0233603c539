"""The commands without their options: one file each, and what they share (request, ledgers, findings)."""
