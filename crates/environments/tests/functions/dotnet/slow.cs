using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public string Execute(FissionContext context)
    {
        System.Threading.Thread.Sleep(300);
        return "slow";
    }
}
