using System;
using Fission.DotNetCore.Api;

// Read while it is loaded and while it serves: both must see what the platform gave it.
public class FissionFunction
{
    static readonly string AtLoad = Environment.GetEnvironmentVariable("GREETING");

    public string Execute(FissionContext context) =>
        $"{AtLoad} {Environment.GetEnvironmentVariable("GREETING")} {Environment.GetEnvironmentVariable("FROM_START")}";
}
