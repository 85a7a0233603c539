"""The commands, without their options: one file each."""
