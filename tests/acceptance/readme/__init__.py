"""The pages that users read, taken apart so that tests can run what they say."""
