// One Batch account with one long-lived pool that scales to zero: few jobs, many tasks, no start task.
// The worker image brings everything; the reference bundle, and the aligner's index in /dev/shm (half of the memory), are
// staged by the first task of a node, and go with the node.
param location string
param tags object
param accountName string
param poolName string
param nodeIdentityId string
param registryServer string
param workerImage string
param nodeSize string
param nodeCores int
param taskSlots int
param maxDedicatedNodes int
param maxSpotNodes int
param logWorkspaceId string

@description('Key vault of an account that allocates in this subscription. Empty: Batch allocates in its own, without spot nodes.')
param vaultName string

var vaultUrl = 'https://${vaultName}${environment().suffixes.keyvaultDns}/'

// Spot nodes first; a preempted one still counts as a target, so dedicated nodes stand in for it as long as work waits.
// Without this term a formula on pending tasks alone would wait for the spot market; with zero wanted nodes it adds none.
// A slot is one core; (n + cores - 1) / cores rounds up. Nodes leave only after their tasks.
var autoscaleFormula = '''
share = $PendingTasks.GetSamplePercent(TimeInterval_Minute * 5);
last = share < 1 ? 0 : max(0, $PendingTasks.GetSample(1));
tasks = share < 70 ? last : max(last, avg($PendingTasks.GetSample(TimeInterval_Minute * 5)));
wanted = tasks > 0 ? (tasks * {0} + {1} - 1) / {1} : 0;
spot = min({3}, wanted);
preempted = $PreemptedNodeCount.GetSamplePercent(TimeInterval_Minute * 5) < 1 ? 0 : max(0, $PreemptedNodeCount.GetSample(1));
$TargetLowPriorityNodes = spot;
$TargetDedicatedNodes = min({2}, min(wanted, wanted - spot + preempted));
$NodeDeallocationOption = taskcompletion;
'''

resource account 'Microsoft.Batch/batchAccounts@2025-06-01' = {
  name: accountName
  location: location
  tags: tags
  properties: {
    allowedAuthenticationModes: ['AAD']
    poolAllocationMode: empty(vaultName) ? 'BatchService' : 'UserSubscription'
    keyVaultReference: empty(vaultName)
      ? null
      : {
          id: resourceId('Microsoft.KeyVault/vaults', vaultName)
          url: vaultUrl
        }
    publicNetworkAccess: 'Enabled'
  }
}

resource pool 'Microsoft.Batch/batchAccounts/pools@2025-06-01' = {
  parent: account
  name: poolName
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${nodeIdentityId}': {} }
  }
  properties: {
    vmSize: nodeSize
    taskSlotsPerNode: nodeCores
    taskSchedulingPolicy: { nodeFillType: 'Pack' }
    interNodeCommunication: 'Disabled'
    deploymentConfiguration: {
      virtualMachineConfiguration: {
        imageReference: {
          publisher: 'microsoft-dsvm'
          offer: 'ubuntu-hpc'
          sku: '2204'
          version: 'latest'
        }
        nodeAgentSkuId: 'batch.node.ubuntu 22.04'
        containerConfiguration: {
          type: 'DockerCompatible'
          containerImageNames: [workerImage]
          containerRegistries: [
            {
              registryServer: registryServer
              identityReference: { resourceId: nodeIdentityId }
            }
          ]
        }
      }
    }
    scaleSettings: {
      autoScale: {
        evaluationInterval: 'PT5M'
        formula: format(autoscaleFormula, taskSlots, nodeCores, maxDedicatedNodes, maxSpotNodes)
      }
    }
  }
}

resource serviceLog 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'service-log'
  properties: {
    workspaceId: logWorkspaceId
    logs: [{ category: 'ServiceLog', enabled: true }]
  }
}

output accountName string = account.name
output endpoint string = 'https://${account.properties.accountEndpoint}'
