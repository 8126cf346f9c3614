%% Erlang peer. Usage: erl ... -run bench main BENCH key=value ... ; schedulers come from +S.
-module(bench).
-export([main/1]).

main([Name | Rest]) ->
    Args = maps:from_list([begin [K, V] = string:split(A, "="), {list_to_atom(K), V} end || A <- Rest]),
    Result = apply_bench(list_to_atom(Name), Args),
    {Value, Unit, Extra} = Result,
    Sched = erlang:system_info(schedulers_online),
    io:format("{\"peer\": \"erlang\", \"bench\": \"~s\", \"value\": ~s, \"unit\": \"~s\", \"params\": {~s}, \"extra\": {~s}}~n",
              [Name, n(Value), Unit,
               join([io_lib:format("\"~s\": \"~s\"", [K, V]) || {K, V} <- maps:to_list(Args)]),
               join([io_lib:format("\"~s\": ~s", [K, n(V)]) || {K, V} <- [{schedulers, Sched} | Extra]])]),
    halt(0).

join(Parts) -> lists:join(", ", Parts).
n(V) when is_float(V) -> io_lib:format("~.6f", [V]);
n(V) -> io_lib:format("~w", [V]).

num(Key, Args, Default) ->
    case maps:find(Key, Args) of
        {ok, V} -> list_to_integer(V);
        error -> Default
    end.

now_s() -> erlang:monotonic_time(nanosecond) / 1.0e9.
rate(N, Seconds, Unit) -> {N / Seconds, Unit, [{count, N}, {seconds, Seconds}]}.

memory() ->
    {ok, Text} = file:read_file("/proc/self/status"),
    {match, Found} = re:run(Text, "Vm(?:RSS|PTE):\\s*(\\d+)", [global, {capture, all_but_first, binary}]),
    1024 * lists:sum([binary_to_integer(KiB) || [KiB] <- Found]).

apply_bench(spawn, A) ->
    N = num(n, A, 1000000), Wave = num(wave, A, 100000),
    T0 = now_s(),
    [begin
         [spawn_monitor(fun() -> ok end) || _ <- lists:seq(1, Wave)],
         [receive {'DOWN', _, process, _, _} -> ok end || _ <- lists:seq(1, Wave)]
     end || _ <- lists:seq(1, N div Wave)],
    rate(N, now_s() - T0, "spawns/s");

apply_bench(pingpong, A) ->
    N = num(n, A, 500000),
    %% bind=1: one process pinned to each scheduler (undocumented spawn option), the cross-core path
    {AtOne, AtTwo} = case num(bind, A, 0) of
                         1 -> {[{scheduler, 1}], [{scheduler, 2}]};
                         0 -> {[], []}
                     end,
    Self = self(),
    Pong = spawn_opt(fun() -> pong(N) end, AtTwo),
    spawn_opt(fun() -> T0 = now_s(), ping(Pong, N), Self ! {took, now_s() - T0} end, AtOne),
    receive {took, T} -> rate(N, T, "round trips/s") end;

apply_bench(ring, A) ->
    Tasks = num(tasks, A, 1000), Laps = num(laps, A, 1000),
    Self = self(),
    T0 = now_s(),
    First = spawn(fun() -> receive {next, P} -> node_loop(P, Tasks, Self) end end),
    Last = lists:foldl(fun(_, Next) -> spawn(fun() -> node_loop(Next, Tasks, Self) end) end,
                       First, lists:seq(2, Tasks)),
    First ! {next, Last},
    First ! Tasks * Laps,
    [receive done -> ok end || _ <- lists:seq(1, Tasks)],
    rate(Tasks * Laps, now_s() - T0, "hops/s");

apply_bench(idle, A) ->
    N = num(n, A, 100000),
    Before = memory(),
    T0 = now_s(),
    Self = self(),
    Pids = [spawn(fun() -> receive stop -> Self ! stopped end end) || _ <- lists:seq(1, N)],
    %% every process is waiting once the run queues are empty
    wait_idle(lists:last(Pids)),
    Create = now_s() - T0,
    Per = (memory() - Before) / N,
    T1 = now_s(),
    [P ! stop || P <- Pids],
    [receive stopped -> ok end || _ <- Pids],
    {Per, "bytes/task", [{create_s, Create}, {wake_all_s, now_s() - T1}]};

apply_bench(primes, A) ->
    Limit = num(limit, A, 2000000), Tasks = num(tasks, A, 64),
    Self = self(),
    T0 = now_s(),
    [spawn(fun() -> Self ! {count, count(Limit * I div Tasks, Limit * (I + 1) div Tasks, 0)} end)
     || I <- lists:seq(0, Tasks - 1)],
    Total = lists:sum([receive {count, C} -> C end || _ <- lists:seq(1, Tasks)]),
    {now_s() - T0, "s", [{primes, Total}]};

apply_bench(fan_in, A) ->
    N = num(n, A, 1000000), Producers = num(producers, A, 8),
    Self = self(),
    T0 = now_s(),
    Sink = spawn(fun() -> sink(N), Self ! done end),
    [spawn(fun() -> produce(Sink, N div Producers) end) || _ <- lists:seq(1, Producers)],
    receive done -> ok end,
    rate(N, now_s() - T0, "msgs/s");

apply_bench(buffer, A) ->
    Size = num(mib, A, 64) bsl 20, Passes = num(passes, A, 100),
    Buf = binary:copy(<<7>>, Size),
    Self = self(),
    Other = spawn_opt(fun() -> bounce(Passes div 2, Size) end, [{scheduler, 2}]),
    spawn_opt(fun() ->
                  T0 = now_s(), bounce_start(Other, Buf, Passes div 2, Size), Self ! {took, now_s() - T0}
              end, [{scheduler, 1}]),
    receive {took, T} ->
        {Size * Passes / T / 1.0e9, "GB/s", [{per_pass_us, T / Passes * 1.0e6}]}
    end;

apply_bench(timers, A) ->
    N = num(n, A, 100000),
    Self = self(),
    T0 = now_s(),
    [spawn(fun() ->
               Ms = rand:uniform(1001) - 1,
               Due = now_s() + Ms / 1000,
               receive after Ms -> ok end,
               Self ! {late, now_s() - Due}
           end) || _ <- lists:seq(1, N)],
    Late = [receive {late, L} -> L end || _ <- lists:seq(1, N)],
    {now_s() - T0, "s", lateness(Late)};

apply_bench(fairness, A) ->
    Tickers = num(tickers, A, 100), Period = num(period_ms, A, 10), Seconds = num(seconds, A, 3),
    Self = self(),
    Start = erlang:monotonic_time(millisecond) + 1,
    [spawn(fun() -> tick(1, Seconds * 1000 div Period, Start, Period, [], Self) end)
     || _ <- lists:seq(1, Tickers)],
    spawn(fun() -> Self ! {hog, hog(now_s() + Seconds, 0)} end),
    Late = lists:append([receive {ticks, L} -> L end || _ <- lists:seq(1, Tickers)]),
    Iters = receive {hog, I} -> I end,
    Stats = lateness(Late),
    {proplists:get_value(late_p99_ms, Stats), "ms", [{hog_iters, Iters} | Stats]};

apply_bench(echo, A) ->
    {ok, L} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false}, {packet, raw},
                                 {reuseaddr, true}, {backlog, 1024}, {nodelay, true}]),
    {ok, Port} = inet:port(L),
    io:format("PORT ~w~n", [Port]),
    Mode = maps:get(mode, A, "recv"),
    spawn_link(fun() -> accept(L, Mode) end),
    wait_eof(),
    halt(0).

wait_eof() -> case io:get_line("") of eof -> ok; _ -> wait_eof() end.

pong(0) -> ok;
pong(N) -> receive {From, X} -> From ! X, pong(N - 1) end.
ping(_, 0) -> ok;
ping(Pong, N) -> Pong ! {self(), N}, receive N -> ping(Pong, N - 1) end.

node_loop(Next, Tasks, Boss) ->
    receive Token ->
        Next ! Token - 1,
        case Token =< Tasks of
            true -> Boss ! done;
            false -> node_loop(Next, Tasks, Boss)
        end
    end.

wait_idle(Last) ->
    case {process_info(Last, status), erlang:statistics(total_run_queue_lengths)} of
        {{status, waiting}, Q} when Q =< 1 -> ok;
        _ -> erlang:yield(), wait_idle(Last)
    end.

is_prime(N) when N < 2 -> false;
is_prime(N) when N rem 2 =:= 0 -> N =:= 2;
is_prime(N) -> is_prime(N, 3).
is_prime(N, D) when D * D > N -> true;
is_prime(N, D) when N rem D =:= 0 -> false;
is_prime(N, D) -> is_prime(N, D + 2).

count(Hi, Hi, Total) -> Total;
count(N, Hi, Total) ->
    case is_prime(N) of
        true -> count(N + 1, Hi, Total + 1);
        false -> count(N + 1, Hi, Total)
    end.

sink(0) -> ok;
sink(N) -> receive _ -> sink(N - 1) end.
produce(_, 0) -> ok;
produce(Sink, N) -> Sink ! N, produce(Sink, N - 1).

check(B, Size) -> 7 = binary:first(B), 7 = binary:last(B), Size = byte_size(B).
bounce(0, _) -> ok;
bounce(N, Size) -> receive {From, B} -> check(B, Size), From ! B, bounce(N - 1, Size) end.
bounce_start(_, _, 0, _) -> ok;
bounce_start(Other, Buf, N, Size) ->
    Other ! {self(), Buf},
    receive B -> check(B, Size), bounce_start(Other, B, N - 1, Size) end.

tick(K, Last, _, _, Late, Boss) when K > Last -> Boss ! {ticks, Late};
tick(K, Last, Start, Period, Late, Boss) ->
    Due = Start + K * Period,
    Ref = erlang:start_timer(Due, self(), tick, [{abs, true}]),
    receive {timeout, Ref, tick} -> ok end,
    tick(K + 1, Last, Start, Period, [now_s() - Due / 1000 | Late], Boss).

hog(End, Done) ->
    case now_s() < End of
        true -> spin(10000), hog(End, Done + 10000);
        false -> Done
    end.
spin(0) -> ok;
spin(N) -> spin(N - 1).

lateness(Late) ->
    S = lists:sort(Late), N = length(S), T = list_to_tuple(S),
    At = fun(Q) -> element(min(N, trunc(N * Q) + 1), T) * 1000 end,
    [{late_p50_ms, At(0.5)}, {late_p99_ms, At(0.99)}, {late_max_ms, At(1.0)}, {late_samples, N}].

accept(L, Mode) ->
    {ok, S} = gen_tcp:accept(L),
    Pid = spawn(fun() -> receive go -> ok end, serve(S, Mode) end),
    ok = gen_tcp:controlling_process(S, Pid),
    Pid ! go,
    accept(L, Mode).

serve(S, "recv") -> serve_recv(S);
serve(S, "active") -> inet:setopts(S, [{active, true}]), serve_active(S).

serve_recv(S) ->
    case gen_tcp:recv(S, 0) of
        {ok, Data} -> ok = gen_tcp:send(S, Data), serve_recv(S);
        {error, _} -> gen_tcp:close(S)
    end.

serve_active(S) ->
    receive
        {tcp, S, Data} -> ok = gen_tcp:send(S, Data), serve_active(S);
        {tcp_closed, S} -> ok;
        {tcp_error, S, _} -> ok
    end.
