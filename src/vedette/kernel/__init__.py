"""The words every other room speaks: errors, ids, time, hashing, documents, decisions."""
