"""What a scrape of ``/metrics`` tells: read at the scrape from what the broker keeps anyway."""
