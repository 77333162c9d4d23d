-- How far the status topic has been folded into task_outcomes, and which worker does it: one at a time.
CREATE TABLE status_fold_positions (
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE status_fold_leases (
    topic  text        PRIMARY KEY,
    holder text        NOT NULL,
    until  timestamptz NOT NULL
);
