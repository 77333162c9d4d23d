SELECT to_regclass('operation_logs') IS NOT NULL
