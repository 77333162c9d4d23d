"""What reads bytes of others is given all that can come: coverage-guided, by libFuzzer through atheris."""
