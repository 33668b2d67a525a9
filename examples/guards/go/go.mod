module realtime.example/guard

go 1.19
