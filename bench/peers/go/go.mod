module smarm-bench

go 1.19
