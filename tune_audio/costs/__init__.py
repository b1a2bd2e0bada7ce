"""What trials take: measured in two steps, reckoned for all of them, shown before they run."""
